package inventory

import (
	"slices"
	"strings"

	"tandem/kit/fault"
	"tandem/kit/tmf"
)

// Classes of nodes. A resource that says neither LogicalResource nor
// PhysicalResource in @type is of class resource and may stand for both.
const (
	classService  = "service"
	classResource = "resource"
	classPhysical = "physical"
	classLogical  = "logical"
	classSite     = "site"
)

// Types of edges, from what carries to what is carried.
const (
	Supports = "supports" // To runs on From
	Contains = "contains" // To is in From
	Connects = "connects" // From is an end of the link To
	Protects = "protects" // From takes over for To without anybody's doing
	BacksUp  = "backsUp"  // From can be put in To's place
	Locates  = "locates"  // To is delivered at the site From
	Relates  = "relates"  // no more than that
)

// carrying types pass a failure on, and form no cycles.
var carrying = []string{Supports, Contains, Connects}

const (
	given = true  // the owner carries the other: owner -> other
	taken = false // the owner is carried: other -> owner
)

// relation is one allowed relationship.
type relation struct {
	says         string // relationshipType, or the attribute that holds the reference
	owner, other string // classes, separated by blanks
	kind         string // type of the edge
	direction    bool
}

const anyResource = "resource physical logical"

// relations are all that may be said; anything else is refused. A logical thing
// never carries a physical one.
var relations = []relation{
	{"supportingService", classService, classService, Supports, taken},
	{"supportingResource", classService, anyResource, Supports, taken},
	{"place", classService, classSite, Locates, taken},
	{"reliesOn", classService, classService, Supports, taken},
	{"requires", classService, classService, Supports, taken},
	{"supportedBy", classService, classService, Supports, taken},
	{"supports", classService, classService, Supports, given},
	{"contains", classService, classService, Contains, given},
	{"containedIn", classService, classService, Contains, taken},
	{"protects", classService, classService, Protects, given},
	{"protectedBy", classService, classService, Protects, taken},
	{"backsUp", classService, classService, BacksUp, given},
	{"relatesTo", classService, classService, Relates, given},

	{"place", anyResource, classSite, Contains, taken},
	{"reliesOn", "resource logical", anyResource, Supports, taken},
	{"reliesOn", classPhysical, "resource physical", Supports, taken},
	{"requires", "resource logical", anyResource, Supports, taken},
	{"requires", classPhysical, "resource physical", Supports, taken},
	{"supportedBy", "resource logical", anyResource, Supports, taken},
	{"supportedBy", classPhysical, "resource physical", Supports, taken},
	{"supports", "resource physical", anyResource, Supports, given},
	{"supports", classLogical, "resource logical", Supports, given},
	{"contains", "resource physical", anyResource, Contains, given},
	{"contains", classLogical, "resource logical", Contains, given},
	{"containedIn", "resource logical", anyResource, Contains, taken},
	{"containedIn", classPhysical, "resource physical", Contains, taken},
	{"connects", anyResource, anyResource, Connects, taken},
	{"connectedBy", anyResource, anyResource, Connects, given},
	{"protects", anyResource, anyResource, Protects, given},
	{"protectedBy", anyResource, anyResource, Protects, taken},
	{"backsUp", anyResource, anyResource, BacksUp, given},
	{"relatesTo", anyResource, anyResource, Relates, given},

	{"contains", classSite, classSite, Contains, given},
	{"containedIn", classSite, classSite, Contains, taken},
	{"partOf", classSite, classSite, Contains, taken},
	{"backsUp", classSite, classSite, BacksUp, given},
	{"relatesTo", classSite, classSite, Relates, given},
}

// statement is what a resource says of another.
type statement struct {
	where string // path in the document
	says  string
	other string
	class string // sort of the other: service, resource or site
	role  string
}

// node is a resource as the graph sees it.
type node struct {
	id, class, name string
	says            []statement
}

func serviceNode(s *Service) *node {
	if s == nil {
		return nil
	}
	n := &node{id: s.ID, class: classService, name: s.Name}
	for i, r := range s.SupportingService {
		n.say(at("supportingService", i), "supportingService", r.ID, classService, r.Role)
	}
	for i, r := range s.SupportingResource {
		n.say(at("supportingResource", i), "supportingResource", r.ID, classResource, r.Role)
	}
	for i, r := range s.ServiceRelationship {
		n.say(at("serviceRelationship", i)+".service", r.RelationshipType, r.Service.ID, classService, r.Role)
	}
	for i, p := range s.Place {
		n.sayPlace(at("place", i), p)
	}
	return n
}

func resourceNode(r *Resource) *node {
	if r == nil {
		return nil
	}
	n := &node{id: r.ID, class: classResource, name: r.Name}
	switch r.Type {
	case "LogicalResource":
		n.class = classLogical
	case "PhysicalResource":
		n.class = classPhysical
	}
	for i, x := range r.ResourceRelationship {
		n.say(at("resourceRelationship", i)+".resource", x.RelationshipType, x.Resource.ID, classResource, x.Role)
	}
	if r.Place != nil {
		n.sayPlace("place", *r.Place)
	}
	return n
}

func siteNode(s *Site) *node {
	if s == nil {
		return nil
	}
	n := &node{id: s.ID, class: classSite, name: s.Name}
	for i, r := range s.SiteRelationship {
		n.say(at("siteRelationship", i), r.RelationshipType, r.ID, classSite, r.Role)
	}
	return n
}

func (n *node) say(where, says, other, class, role string) {
	n.says = append(n.says, statement{where, says, other, class, role})
}

// sayPlace counts only places that are sites: addresses live elsewhere.
func (n *node) sayPlace(where string, p tmf.Place) {
	if p.ReferredType == "GeographicSite" || p.Type == "GeographicSite" {
		n.say(where, "place", p.ID, classSite, p.Role)
	}
}

// find is the relation that allows a statement between two classes.
func find(says, owner, other string) (relation, bool) {
	i := slices.IndexFunc(relations, func(r relation) bool {
		return r.says == says && slices.Contains(strings.Fields(r.owner), owner) && slices.Contains(strings.Fields(r.other), other)
	})
	if i < 0 {
		return relation{}, false
	}
	return relations[i], true
}

// refused says in words why a statement is not allowed.
func refused(s statement, owner, other string) error {
	var may []string
	for _, r := range relations {
		if slices.Contains(strings.Fields(r.owner), owner) && slices.Contains(strings.Fields(r.other), other) && !slices.Contains(may, r.says) {
			may = append(may, r.says)
		}
	}
	if len(may) == 0 {
		return fault.BadInput("relationNotAllowed", "%s: a %s cannot be related to a %s", s.where, owner, other)
	}
	return fault.BadInput("relationNotAllowed", "%s: a %s cannot be said to be %q with a %s; allowed is %s", s.where, owner, s.says, other, strings.Join(may, ", "))
}
