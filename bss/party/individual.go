package party

import (
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Individual is a person (TMF632).
type Individual struct {
	tmf.Entity
	GivenName          string `json:"givenName,omitzero" tmf:"required"`
	FamilyName         string `json:"familyName,omitzero" tmf:"required"`
	FamilyNamePrefix   string `json:"familyNamePrefix,omitzero"`
	MiddleName         string `json:"middleName,omitzero"`
	PreferredGivenName string `json:"preferredGivenName,omitzero"`
	FullName           string `json:"fullName,omitzero"`
	FormattedName      string `json:"formattedName,omitzero"`
	LegalName          string `json:"legalName,omitzero"`
	Title              string `json:"title,omitzero"`
	AristocraticTitle  string `json:"aristocraticTitle,omitzero"`
	Generation         string `json:"generation,omitzero"` // Sr, Jr, III

	Gender         string    `json:"gender,omitzero"`
	MaritalStatus  string    `json:"maritalStatus,omitzero"`
	Nationality    string    `json:"nationality,omitzero"`
	BirthDate      time.Time `json:"birthDate,omitzero"`
	PlaceOfBirth   string    `json:"placeOfBirth,omitzero"`
	CountryOfBirth string    `json:"countryOfBirth,omitzero"`
	DeathDate      time.Time `json:"deathDate,omitzero"`
	Location       string    `json:"location,omitzero"`
	Status         string    `json:"status,omitzero" tmf:"enum=initialized|validated|deceaded"`

	ContactMedium            []ContactMedium           `json:"contactMedium,omitzero"`
	LanguageAbility          []LanguageAbility         `json:"languageAbility,omitzero"`
	IndividualIdentification []Identification          `json:"individualIdentification,omitzero"`
	OtherName                []OtherNameIndividual     `json:"otherName,omitzero"`
	Disability               []Disability              `json:"disability,omitzero"`
	Skill                    []Skill                   `json:"skill,omitzero"`
	CreditRating             []PartyCreditProfile      `json:"creditRating,omitzero"`
	TaxExemptionCertificate  []TaxExemptionCertificate `json:"taxExemptionCertificate,omitzero"`
	PartyCharacteristic      []tmf.Characteristic      `json:"partyCharacteristic,omitzero"`
	ExternalReference        []tmf.ExternalReference   `json:"externalReference,omitzero"`
	RelatedParty             []tmf.RelatedParty        `json:"relatedParty,omitzero"`
}

// OtherNameIndividual is a name the person bears or bore besides.
type OtherNameIndividual struct {
	GivenName          string          `json:"givenName,omitzero"`
	FamilyName         string          `json:"familyName,omitzero"`
	FamilyNamePrefix   string          `json:"familyNamePrefix,omitzero"`
	MiddleName         string          `json:"middleName,omitzero"`
	PreferredGivenName string          `json:"preferredGivenName,omitzero"`
	FullName           string          `json:"fullName,omitzero"`
	FormattedName      string          `json:"formattedName,omitzero"`
	LegalName          string          `json:"legalName,omitzero"`
	Title              string          `json:"title,omitzero"`
	AristocraticTitle  string          `json:"aristocraticTitle,omitzero"`
	Generation         string          `json:"generation,omitzero"`
	ValidFor           *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// LanguageAbility is a language the person knows; the favourite one is written to.
type LanguageAbility struct {
	LanguageCode         string          `json:"languageCode,omitzero"`
	LanguageName         string          `json:"languageName,omitzero"`
	IsFavouriteLanguage  *bool           `json:"isFavouriteLanguage,omitzero"`
	ListeningProficiency string          `json:"listeningProficiency,omitzero"`
	ReadingProficiency   string          `json:"readingProficiency,omitzero"`
	SpeakingProficiency  string          `json:"speakingProficiency,omitzero"`
	WritingProficiency   string          `json:"writingProficiency,omitzero"`
	ValidFor             *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// Disability is a need to take care of in service and messages.
type Disability struct {
	DisabilityCode string          `json:"disabilityCode,omitzero"`
	DisabilityName string          `json:"disabilityName,omitzero"`
	ValidFor       *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// Skill is what the person can do, with its evaluation.
type Skill struct {
	SkillCode      string          `json:"skillCode,omitzero"`
	SkillName      string          `json:"skillName,omitzero"`
	EvaluatedLevel string          `json:"evaluatedLevel,omitzero"`
	Comment        string          `json:"comment,omitzero"`
	ValidFor       *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// Individuals are the people of the tenant.
var Individuals = tmf.Kind[Individual, *Individual]{
	API: &PartyAPI, Name: "individual", Table: "party_individual", Verbs: tmf.All,
	Index:     []string{"familyName", "givenName", "status"},
	Multi:     []string{"relatedParty.id", "individualIdentification.identificationId", "contactMedium.characteristic.emailAddress"},
	StateAttr: "status",
	Moves: tmf.Moves{
		"":            {"initialized", "validated"},
		"initialized": {"validated", "deceaded"},
		"validated":   {"initialized", "deceaded"},
		"deceaded":    {"validated"}, // a death reported in error is put right
	},
}

func defaultIndividual(_ *store.Tx, p *Individual) error {
	if p.Status == "" {
		p.Status = "initialized"
	}
	return nil
}

func checkIndividual(tx *store.Tx, _, p *Individual) error {
	if p.BirthDate.After(tx.Now()) {
		return fault.BadInput("invalidBirthDate", "birthDate lies in the future")
	}
	if !p.DeathDate.IsZero() && p.DeathDate.Before(p.BirthDate) {
		return fault.BadInput("invalidDeathDate", "deathDate lies before birthDate")
	}
	for _, l := range p.LanguageAbility {
		if l.LanguageCode == "" && l.LanguageName == "" {
			return fault.BadInput("invalidLanguage", "A languageAbility names its language by languageCode or languageName")
		}
	}
	return checkMedia(p.ContactMedium)
}

func savedIndividual(tx *store.Tx, old, now *Individual) error {
	if now != nil {
		return nil
	}
	return unreferenced(tx, "individual", old.ID)
}

// Name is how the person is addressed in letters and lists.
func (p *Individual) Name() string {
	if p.FormattedName != "" {
		return p.FormattedName
	}
	if p.FullName != "" {
		return p.FullName
	}
	given := p.GivenName
	if p.PreferredGivenName != "" {
		given = p.PreferredGivenName
	}
	return strings.Join(strings.Fields(given+" "+p.FamilyNamePrefix+" "+p.FamilyName), " ")
}

// Language is the code (or name) of the language the person wants to be written
// to in: the favourite, else the first named; "" if none is known.
func (p *Individual) Language(at time.Time) string {
	first := ""
	for _, l := range p.LanguageAbility {
		if !l.ValidFor.Holds(at) {
			continue
		}
		code := l.LanguageCode
		if code == "" {
			code = l.LanguageName
		}
		if l.IsFavouriteLanguage != nil && *l.IsFavouriteLanguage {
			return code
		}
		if first == "" {
			first = code
		}
	}
	return first
}
