package catalog

import (
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/transfer"
)

const maxLevels = 20 // of the tree of categories

func defaultCatalog(_ *store.Tx, c *Catalog) error {
	defaultState(&c.LifecycleStatus)
	return nil
}

func defaultCategory(_ *store.Tx, c *Category) error {
	defaultState(&c.LifecycleStatus)
	if c.IsRoot == nil {
		root := c.ParentID == ""
		c.IsRoot = &root
	}
	return nil
}

func checkCatalog(tx *store.Tx, old, c *Catalog) error {
	if err := transfer.Later(tx, func() error { return checkCategoryRefs(tx, "category", "", c.Category) }); err != nil {
		return err
	}
	if old == nil {
		return stamp(tx, nil, c, zero, &c.LastUpdate)
	}
	return stamp(tx, old, c, old.LastUpdate, &c.LastUpdate)
}

func checkCategory(tx *store.Tx, old, c *Category) error {
	if isTrue(c.IsRoot) && c.ParentID != "" {
		return fault.BadInput("notARoot", "A root category has no parentId")
	}
	if err := transfer.Later(tx, func() error { return checkTree(tx, c) }); err != nil {
		return err
	}
	if old == nil {
		return stamp(tx, nil, c, zero, &c.LastUpdate)
	}
	return stamp(tx, old, c, old.LastUpdate, &c.LastUpdate)
}

func checkCategoryRefs(tx *store.Tx, path, self string, refs []Ref) error {
	if err := distinct(path, self, refIDs(refs)); err != nil {
		return err
	}
	for i := range refs {
		found, err := must(tx, &Categories, path, refs[i].ID)
		if err != nil {
			return err
		}
		complete(&refs[i].Name, &refs[i].Href, found.Name, found.Href)
	}
	return nil
}

// checkTree: what the category names exists, and neither by subCategory nor by
// parentId does it come to lie within itself.
func checkTree(tx *store.Tx, c *Category) error {
	if err := checkCategoryRefs(tx, "subCategory", c.ID, c.SubCategory); err != nil {
		return err
	}
	if err := distinct("productOffering", "", refIDs(c.ProductOffering)); err != nil {
		return err
	}
	for i := range c.ProductOffering {
		r := &c.ProductOffering[i]
		found, err := must(tx, &Offerings, "productOffering", r.ID)
		if err != nil {
			return err
		}
		complete(&r.Name, &r.Href, found.Name, found.Href)
	}
	if c.ParentID != "" {
		if c.ParentID == c.ID {
			return fault.BadInput("cycle", "parentId: %q would contain itself", c.ID)
		}
		if _, err := must(tx, &Categories, "parentId", c.ParentID); err != nil {
			return err
		}
	}
	children, err := childrenOf(tx, c.ID)
	if err != nil {
		return err
	}
	below := append(refIDs(c.SubCategory), children...)
	next := func(id string) ([]string, error) {
		if id == c.ParentID {
			return []string{c.ID}, nil // the arrow this save draws
		}
		sub, err := Categories.Get(tx, id)
		if err != nil {
			return nil, err
		}
		children, err := childrenOf(tx, id)
		return append(refIDs(sub.SubCategory), children...), err
	}
	return acyclic("subCategory", c.ID, below, maxLevels, next)
}

func childrenOf(tx *store.Tx, id string) ([]string, error) {
	found, err := Categories.Select(tx, tmf.Where{"parentId": id}, tmf.Page{Limit: maxTree})
	return idsOf(found, func(c *Category) string { return c.ID }), err
}

func savedCategory(tx *store.Tx, old, now *Category) error {
	if now != nil {
		return nil
	}
	const kind = "category"
	if err := unused(tx, &Offerings, kind, old.ID, nil, "category.id"); err != nil {
		return err
	}
	if err := unused(tx, &Catalogs, kind, old.ID, nil, "category.id"); err != nil {
		return err
	}
	return unused(tx, &Categories, kind, old.ID, nil, "parentId", "subCategory.id")
}
