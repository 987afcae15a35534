package einvoice

import "strings"

// texts says what each rule demands, in the words of this house; the VAT categories
// have theirs in vatTexts.
var texts = map[string]string{
	"BR-01": "an invoice has a specification identifier (BT-24)",
	"BR-02": "an invoice has a number (BT-1)",
	"BR-03": "an invoice has an issue date (BT-2)",
	"BR-04": "an invoice has a type code (BT-3)",
	"BR-05": "an invoice has a currency (BT-5)",
	"BR-06": "the seller has a name (BT-27)",
	"BR-07": "the buyer has a name (BT-44)",
	"BR-08": "the seller has a postal address (BG-5)",
	"BR-09": "the address of the seller has a country (BT-40)",
	"BR-10": "the buyer has a postal address (BG-8)",
	"BR-11": "the address of the buyer has a country (BT-55)",
	"BR-12": "the sum of the lines is given (BT-106)",
	"BR-13": "the total without VAT is given (BT-109)",
	"BR-14": "the total with VAT is given (BT-112)",
	"BR-15": "the amount due is given (BT-115)",
	"BR-16": "an invoice has at least one line (BG-25)",
	"BR-17": "a payee (BG-10) has a name (BT-59) and is not the seller",
	"BR-18": "the tax representative has a name (BT-62)",
	"BR-19": "the tax representative has a postal address (BG-12)",
	"BR-20": "the address of the tax representative has a country (BT-69)",
	"BR-21": "a line has an identifier (BT-126)",
	"BR-22": "a line has a quantity (BT-129)",
	"BR-23": "the quantity of a line has a unit (BT-130)",
	"BR-24": "a line has a net amount (BT-131)",
	"BR-25": "the item of a line has a name (BT-153)",
	"BR-26": "the item of a line has a net price (BT-146)",
	"BR-27": "a net price (BT-146) is not negative",
	"BR-28": "a gross price (BT-148) is not negative",
	"BR-29": "the invoicing period ends on or after its first day (BT-73, BT-74)",
	"BR-30": "the period of a line ends on or after its first day (BT-134, BT-135)",
	"BR-31": "an allowance of the document has an amount (BT-92)",
	"BR-32": "an allowance of the document has a VAT category (BT-95)",
	"BR-33": "an allowance of the document has a reason or its code (BT-97, BT-98)",
	"BR-36": "a charge of the document has an amount (BT-99)",
	"BR-37": "a charge of the document has a VAT category (BT-102)",
	"BR-38": "a charge of the document has a reason or its code (BT-104, BT-105)",
	"BR-41": "an allowance of a line has an amount (BT-136)",
	"BR-42": "an allowance of a line has a reason or its code (BT-139, BT-140)",
	"BR-43": "a charge of a line has an amount (BT-141)",
	"BR-44": "a charge of a line has a reason or its code (BT-144, BT-145)",
	"BR-45": "a VAT breakdown has a taxable amount (BT-116)",
	"BR-46": "a VAT breakdown has a tax amount (BT-117)",
	"BR-47": "a VAT breakdown has a category (BT-118)",
	"BR-48": "a VAT breakdown has a rate (BT-119), unless it is not subject to VAT",
	"BR-49": "payment instructions say by which means to pay (BT-81)",
	"BR-50": "an account to pay to has a number (BT-84)",
	"BR-51": "of a payment card only the last four to six digits are given (BT-87)",
	"BR-52": "a supporting document has a reference (BT-122)",
	"BR-53": "a VAT accounting currency (BT-6) is another than the invoice's, and the total VAT is given in it (BT-111)",
	"BR-54": "an attribute of an item has a name and a value (BT-160, BT-161)",
	"BR-55": "a reference to a preceding invoice has its number (BT-25)",
	"BR-56": "the tax representative has a VAT identifier (BT-63)",
	"BR-57": "the deliver to address has a country (BT-80)",
	"BR-61": "a credit transfer names the account to pay to (BT-84)",
	"BR-62": "the electronic address of the seller has a scheme (BT-34)",
	"BR-63": "the electronic address of the buyer has a scheme (BT-49)",
	"BR-64": "a standard item identifier has a scheme (BT-157)",
	"BR-65": "an item classification has a scheme (BT-158)",

	"BR-CO-03": "the tax point is a date (BT-7) or a code (BT-8), not both",
	"BR-CO-04": "a line has a VAT category (BT-151)",
	"BR-CO-05": "reason and reason code of an allowance of the document mean the same (BT-97, BT-98)",
	"BR-CO-06": "reason and reason code of a charge of the document mean the same (BT-104, BT-105)",
	"BR-CO-07": "reason and reason code of an allowance of a line mean the same (BT-139, BT-140)",
	"BR-CO-08": "reason and reason code of a charge of a line mean the same (BT-144, BT-145)",
	"BR-CO-09": "a VAT identifier begins with the country that gave it (BT-31, BT-48, BT-63)",
	"BR-CO-10": "the sum of the lines (BT-106) is the sum of their net amounts (BT-131)",
	"BR-CO-11": "the sum of allowances (BT-107) is the sum of the document's allowances (BT-92)",
	"BR-CO-12": "the sum of charges (BT-108) is the sum of the document's charges (BT-99)",
	"BR-CO-13": "the total without VAT (BT-109) is the lines (BT-106) less allowances (BT-107) plus charges (BT-108)",
	"BR-CO-14": "the total VAT (BT-110) is the sum of the VAT breakdowns (BT-117)",
	"BR-CO-15": "the total with VAT (BT-112) is the total without (BT-109) plus the VAT (BT-110)",
	"BR-CO-16": "the amount due (BT-115) is the total with VAT (BT-112) less what is paid (BT-113) plus rounding (BT-114)",
	"BR-CO-17": "the tax of a VAT breakdown (BT-117) is its base (BT-116) times its rate (BT-119)",
	"BR-CO-18": "an invoice has at least one VAT breakdown (BG-23)",
	"BR-CO-19": "an invoicing period has a first or a last day (BT-73, BT-74)",
	"BR-CO-20": "the period of a line has a first or a last day (BT-134, BT-135)",
	"BR-CO-21": "an allowance of the document has a reason or its code, or both (BT-97, BT-98)",
	"BR-CO-22": "a charge of the document has a reason or its code, or both (BT-104, BT-105)",
	"BR-CO-23": "an allowance of a line has a reason or its code, or both (BT-139, BT-140)",
	"BR-CO-24": "a charge of a line has a reason or its code, or both (BT-144, BT-145)",
	"BR-CO-25": "an invoice with an amount due has a due date (BT-9) or payment terms (BT-20)",
	"BR-CO-26": "the seller can be identified: by an identifier (BT-29), a registration (BT-30) or a VAT identifier (BT-31)",

	"BR-DEC-01": twoDecimals + "BT-92",
	"BR-DEC-02": twoDecimals + "BT-93",
	"BR-DEC-05": twoDecimals + "BT-99",
	"BR-DEC-06": twoDecimals + "BT-100",
	"BR-DEC-09": twoDecimals + "BT-106",
	"BR-DEC-10": twoDecimals + "BT-107",
	"BR-DEC-11": twoDecimals + "BT-108",
	"BR-DEC-12": twoDecimals + "BT-109",
	"BR-DEC-13": twoDecimals + "BT-110",
	"BR-DEC-14": twoDecimals + "BT-112",
	"BR-DEC-15": twoDecimals + "BT-111",
	"BR-DEC-16": twoDecimals + "BT-113",
	"BR-DEC-17": twoDecimals + "BT-114",
	"BR-DEC-18": twoDecimals + "BT-115",
	"BR-DEC-19": twoDecimals + "BT-116",
	"BR-DEC-20": twoDecimals + "BT-117",
	"BR-DEC-23": twoDecimals + "BT-131",
	"BR-DEC-24": twoDecimals + "BT-136",
	"BR-DEC-25": twoDecimals + "BT-137",
	"BR-DEC-27": twoDecimals + "BT-141",
	"BR-DEC-28": twoDecimals + "BT-142",

	"BR-CL-01": "the type code (BT-3) is one of UNTDID 1001 that the standard takes",
	"BR-CL-06": "a tax point code (BT-8) is 3, 35 or 432 of UNTDID 2005",
	"BR-CL-07": "the scheme of an invoiced object (BT-18, BT-128) is a code of UNTDID 1153",
	"BR-CL-08": "the subject of a note (BT-21) is a code of UNTDID 4451",
	"BR-CL-10": "the scheme of an identifier (BT-29, BT-46, BT-60) is a code of ISO/IEC 6523",
	"BR-CL-11": "the scheme of a registration (BT-30, BT-47, BT-61) is a code of ISO/IEC 6523",
	"BR-CL-13": "the scheme of an item classification (BT-158) is a code of UNTDID 7143",
	"BR-CL-14": "a country is a code of ISO 3166-1 alpha-2",
	"BR-CL-15": "the country of origin (BT-159) is a code of ISO 3166-1 alpha-2",
	"BR-CL-16": "payment means (BT-81) are a code of UNTDID 4461",
	"BR-CL-17": "a VAT category (BT-95, BT-102, BT-118) is S, Z, E, AE, K, G, O, L or M",
	"BR-CL-18": "the VAT category of a line (BT-151) is S, Z, E, AE, K, G, O, L or M",

	"BR-CL-19": "the reason code of an allowance (BT-98, BT-140) is one of UNTDID 5189 that the standard takes",
	"BR-CL-20": "the reason code of a charge (BT-105, BT-145) is a code of UNTDID 7161",
	"BR-CL-21": "the scheme of a standard item identifier (BT-157) is a code of ISO/IEC 6523",
	"BR-CL-22": "an exemption reason code (BT-121) is of the list VATEX",
	"BR-CL-23": "a unit (BT-130, BT-150) is a code of UN/ECE Recommendation 20 or 21",
	"BR-CL-24": "an attached file (BT-125) is PDF, PNG, JPEG, CSV or a sheet of Excel or OpenDocument",
	"BR-CL-25": "the scheme of an electronic address (BT-34, BT-49) is of the list EAS",
	"BR-CL-26": "the scheme of a delivery location (BT-71) is a code of ISO/IEC 6523",

	"TD-1": "every amount is in the currency of the invoice (BT-5)",
	"TD-2": "no amount is beyond 10^13 minor units",
	"TD-3": "an attached file (BT-125) has a name",
}

const twoDecimals = "at most two decimals: "

// vatTexts says what the rules of VAT categories demand; % stands for the category.
var vatTexts = map[string]string{
	"-01": "what is %, and nothing else, has its VAT breakdown (BG-23)",
	"-02": "an invoice with a line that is % has the tax identifiers this needs",
	"-03": "an invoice with an allowance that is % has the tax identifiers this needs",
	"-04": "an invoice with a charge that is % has the tax identifiers this needs",
	"-05": "the VAT rate of a line (BT-152) fits %",
	"-06": "the VAT rate of an allowance (BT-96) fits %",
	"-07": "the VAT rate of a charge (BT-103) fits %",
	"-08": "the taxable amount (BT-116) of the breakdown is what is charged as %, less allowances",
	"-09": "the tax (BT-117) of what is % is right",
	"-10": "an exemption reason (BT-120, BT-121) stands where, and only where, % needs one",
}

var vatNames = [categories]string{
	isStandard: "standard rated", isZero: "zero rated", isExempt: "exempt from VAT", isReverse: "reverse charge",
	isIntra: "an intra-community supply", isExport: "export outside the Union", isOutside: "not subject to VAT",
	isIGIC: "IGIC", isIPSI: "IPSI",
}

// identifiers says which identifiers the rules -02 to -04 want.
var identifiers = [categories]string{
	isReverse: "seller VAT identifier, tax registration or tax representative, and buyer VAT identifier or registration",
	isIntra:   "VAT identifier of seller or tax representative, and of the buyer",
	isExport:  "VAT identifier of seller or tax representative",
	isOutside: "none: no VAT identifier of seller, tax representative or buyer",
}

var onlySome = map[string]string{
	"BR-IC-11": "an intra-community supply has a delivery date (BT-72) or an invoicing period (BG-14)",
	"BR-IC-12": "an intra-community supply has the country it is delivered to (BT-80)",
	"BR-O-11":  "beside a breakdown that is not subject to VAT there is no other",
	"BR-O-12":  "beside a breakdown that is not subject to VAT all lines are not subject to VAT",
	"BR-O-13":  "beside a breakdown that is not subject to VAT all allowances are not subject to VAT",
	"BR-O-14":  "beside a breakdown that is not subject to VAT all charges are not subject to VAT",
}

// textOf is what a rule demands.
func textOf(rule string) string {
	if text, ok := texts[rule]; ok {
		return text
	}
	if text, ok := onlySome[rule]; ok {
		return text
	}
	for k := range vatRules {
		number, ok := strings.CutPrefix(rule, vatRules[k].name)
		if !ok || vatTexts[number] == "" {
			continue
		}
		text := strings.Replace(vatTexts[number], "%", vatNames[k], 1)
		if wants := identifiers[k]; wants != "" && number >= "-02" && number <= "-04" {
			text += " (" + wants + ")"
		}
		return text
	}
	return ""
}
