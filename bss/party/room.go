package party

import (
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

// Kinds are the room's resources. The room has no other tables.
func Kinds() []tmf.Mounted {
	return []tmf.Mounted{&Individuals, &Organizations, &Customers, &Roles}
}
