package money

import "strings"

// The active codes of ISO 4217 list one as of 1 January 2026 (amendment 180),
// grouped by minor-unit digits; each entry is alphabetic code plus numeric code.
const (
	isoDigits0 = `BIF108 CLP152 DJF262 GNF324 ISK352 JPY392 KMF174 KRW410 PYG600 RWF646
		UGX800 UYI940 VND704 VUV548 XAF950 XOF952 XPF953`

	isoDigits2 = `AED784 AFN971 ALL008 AMD051 AOA973 ARS032 AUD036 AWG533 AZN944 BAM977
		BBD052 BDT050 BMD060 BND096 BOB068 BOV984 BRL986 BSD044 BTN064 BWP072
		BYN933 BZD084 CAD124 CDF976 CHE947 CHF756 CHW948 CNY156 COP170 COU970
		CRC188 CUP192 CVE132 CZK203 DKK208 DOP214 DZD012 EGP818 ERN232 ETB230
		EUR978 FJD242 FKP238 GBP826 GEL981 GHS936 GIP292 GMD270 GTQ320 GYD328
		HKD344 HNL340 HTG332 HUF348 IDR360 ILS376 INR356 IRR364 JMD388 KES404
		KGS417 KHR116 KPW408 KYD136 KZT398 LAK418 LBP422 LKR144 LRD430 LSL426
		MAD504 MDL498 MGA969 MKD807 MMK104 MNT496 MOP446 MRU929 MUR480 MVR462
		MWK454 MXN484 MXV979 MYR458 MZN943 NAD516 NGN566 NIO558 NOK578 NPR524
		NZD554 PAB590 PEN604 PGK598 PHP608 PKR586 PLN985 QAR634 RON946 RSD941
		RUB643 SAR682 SBD090 SCR690 SDG938 SEK752 SGD702 SHP654 SLE925 SOS706
		SRD968 SSP728 STN930 SVC222 SYP760 SZL748 THB764 TJS972 TMT934 TOP776
		TRY949 TTD780 TWD901 TZS834 UAH980 USD840 USN997 UYU858 UZS860 VED926
		VES928 WST882 XAD396 XCD951 XCG532 YER886 ZAR710 ZMW967 ZWG924`

	isoDigits3 = `BHD048 IQD368 JOD400 KWD414 LYD434 OMR512 TND788`

	isoDigits4 = `CLF990 UYW927`

	// Metals, bond units, SDR, test and no-currency codes: ISO gives them no minor
	// unit ("N.A."), so no amount can be posted in them.
	isoNoMinor = `XAG961 XAU959 XBA955 XBB956 XBC957 XBD958 XDR960 XPD964 XPT962 XSU994
		XTS963 XUA965 XXX999`

	// Withdrawn 2023 to 2026. Invoices outlive their currency by the legal
	// retention time, so these stay readable; Active tells them apart.
	isoWithdrawn2 = `ANG532 BGN975 CUC931 HRK191 SLL694 ZWL932`
)

// isoEntry is one row of the table.
type isoEntry struct {
	currency Currency
	number   uint16
	active   bool
	noMinor  bool
}

var isoByCode, isoByNumber = isoTables()

// isoTables files every entry under its alphabetic and its numeric code. Only active
// currencies are found by number: ISO gave 532 of the withdrawn ANG to XCG.
func isoTables() (map[string]isoEntry, map[uint16]Currency) {
	byCode, byNumber := map[string]isoEntry{}, map[uint16]Currency{}
	load := func(codes string, like isoEntry) {
		for _, f := range strings.Fields(codes) {
			e := like
			copy(e.currency.letters[:], f[:3])
			e.number = uint16(f[3]-'0')*100 + uint16(f[4]-'0')*10 + uint16(f[5]-'0')
			byCode[f[:3]] = e
			if e.active && !e.noMinor {
				byNumber[e.number] = e.currency
			}
		}
	}
	load(isoDigits0, isoEntry{active: true, currency: Currency{digits: 0}})
	load(isoDigits2, isoEntry{active: true, currency: Currency{digits: 2}})
	load(isoDigits3, isoEntry{active: true, currency: Currency{digits: 3}})
	load(isoDigits4, isoEntry{active: true, currency: Currency{digits: 4}})
	load(isoNoMinor, isoEntry{active: true, noMinor: true})
	load(isoWithdrawn2, isoEntry{currency: Currency{digits: 2}})
	return byCode, byNumber
}
