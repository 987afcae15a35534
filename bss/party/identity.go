package party

import (
	"time"

	"tandem/kit/tmf"
)

// Identification is a paper or register entry that proves who the party is.
type Identification struct {
	IdentificationID   string          `json:"identificationId,omitzero"`
	IdentificationType string          `json:"identificationType,omitzero"` // passport, companyRegistration
	IssuingAuthority   string          `json:"issuingAuthority,omitzero"`
	IssuingDate        time.Time       `json:"issuingDate,omitzero"`
	Attachment         *tmf.Attachment `json:"attachment,omitzero"`
	ValidFor           *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// PartyCreditProfile is what a credit agency said of the party.
type PartyCreditProfile struct {
	CreditAgencyName string          `json:"creditAgencyName,omitzero"`
	CreditAgencyType string          `json:"creditAgencyType,omitzero"`
	RatingReference  string          `json:"ratingReference,omitzero"`
	RatingScore      *int64          `json:"ratingScore,omitzero"`
	ValidFor         *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// TaxExemptionCertificate frees the party from the taxes it names.
type TaxExemptionCertificate struct {
	ID            string          `json:"id,omitzero"`
	TaxDefinition []TaxDefinition `json:"taxDefinition,omitzero"`
	Attachment    *tmf.Attachment `json:"attachment,omitzero"`
	ValidFor      *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// TaxDefinition names a tax.
type TaxDefinition struct {
	ID           string `json:"id,omitzero"`
	Name         string `json:"name,omitzero"`
	TaxType      string `json:"taxType,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}
