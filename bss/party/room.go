package party

import (
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// The three APIs of the room.
var (
	PartyAPI    = tmf.API{ID: "TMF632", Name: "Party Management", Version: "4.0.0", Base: "/tmf-api/party/v4"}
	CustomerAPI = tmf.API{ID: "TMF629", Name: "Customer Management", Version: "4.0.0", Base: "/tmf-api/customerManagement/v4"}
	RoleAPI     = tmf.API{ID: "TMF669", Name: "Party Role Management", Version: "4.0.0", Base: "/tmf-api/partyRoleManagement/v4"}
)

func init() { // hooks refer back to their kinds
	Individuals.Default, Individuals.Check, Individuals.Saved = defaultIndividual, checkIndividual, savedIndividual
	Organizations.Default, Organizations.Check, Organizations.Saved = defaultOrganization, checkOrganization, savedOrganization
	Customers.Default, Customers.Check, Customers.Saved = defaultCustomer, checkCustomer, savedCustomer
	Roles.Default, Roles.Check, Roles.Saved = defaultRole, checkRole, savedRole
}

// Schemas is empty: the room has no tables besides those of its kinds.
var Schemas []store.Schema

// Kinds are the room's resources.
func Kinds() []tmf.Mounted {
	return []tmf.Mounted{&Individuals, &Organizations, &Customers, &Roles}
}
