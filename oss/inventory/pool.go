package inventory

import (
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// Pool is a stock of numbers or SIMs.
type Pool struct {
	ID, Kind, Name string
	Host           string        // tenant whose network the numbers belong to; the own one if not said
	Quarantine     time.Duration // rest of a number after use
}

const defaultQuarantine = 90 * 24 * time.Hour

// ResourcePool is a pool over TMF685. Name, kind, host, quarantineSeconds and
// available are Tandem's own attributes.
type ResourcePool struct {
	tmf.Entity
	Name               string                  `json:"name,omitzero"`
	Description        string                  `json:"description,omitzero"`
	RelatedParty       string                  `json:"relatedParty,omitzero"` // TMF685 v1 has plain text here
	ResourceCollection []ResourceCollectionRef `json:"resourceCollection,omitzero"`
	PoolKind           string                  `json:"kind,omitzero"`
	Host               string                  `json:"host,omitzero"`
	QuarantineSeconds  *int64                  `json:"quarantineSeconds,omitzero"`
}

// ResourceCollectionRef points to a collection of resources.
type ResourceCollectionRef struct {
	ObjectID     string `json:"objectId,omitzero"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// The API and the pools of TMF685.
var (
	PoolAPI       = tmf.API{ID: "TMF685", Name: "Resource Pool Management", Version: "1.0.0", Base: "/tmf-api/resourcePoolManagement/v1"}
	ResourcePools = tmf.Kind[ResourcePool, *ResourcePool]{API: &PoolAPI, Name: "resourcePool", Table: "inventory_resource_pool", Verbs: tmf.All,
		Index: []string{"name", "kind"}}
)

// NewPool makes a pool.
func NewPool(tx *store.Tx, p Pool) error {
	seconds := int64(p.Quarantine / time.Second)
	r := &ResourcePool{Name: p.Name, PoolKind: p.Kind, Host: p.Host, QuarantineSeconds: &seconds}
	r.ID = p.ID
	return ResourcePools.Create(tx, r)
}

func poolOf(tx *store.Tx, id string) (Pool, error) {
	p := Pool{ID: id}
	var seconds int64
	err := tx.Row("SELECT kind, name, host, quarantine FROM inventory_pool WHERE tenant = $1 AND id = $2", id).Scan(&p.Kind, &p.Name, &p.Host, &seconds)
	if err == store.ErrNotFound {
		return p, fault.Missing("resourcePool", id)
	}
	p.Quarantine = time.Duration(seconds) * time.Second
	return p, err
}

func initPools() {
	ResourcePools.Default = func(tx *store.Tx, p *ResourcePool) error {
		if p.Name == "" {
			p.Name = p.Description
		}
		if p.PoolKind == "" {
			p.PoolKind = "resource"
		}
		if p.Host == "" {
			p.Host = tx.Tenant()
		}
		if p.QuarantineSeconds == nil {
			seconds := int64(defaultQuarantine / time.Second)
			p.QuarantineSeconds = &seconds
		}
		return nil
	}
	ResourcePools.Check = func(tx *store.Tx, old, p *ResourcePool) error {
		if old != nil && old.PoolKind != p.PoolKind {
			return fault.Clash("kindFixed", "A pool of %s cannot become one of %s", old.PoolKind, p.PoolKind)
		}
		if p.QuarantineSeconds == nil || *p.QuarantineSeconds < 0 {
			return fault.BadInput("invalidValue", "quarantineSeconds is a number from 0")
		}
		return nil
	}
	ResourcePools.Saved = func(tx *store.Tx, old, p *ResourcePool) error {
		if p == nil {
			return dropPool(tx, old)
		}
		tx.Queue(`INSERT INTO inventory_pool (tenant, id, kind, name, host, quarantine) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, host = excluded.host, quarantine = excluded.quarantine`,
			p.ID, p.PoolKind, p.Name, p.Host, *p.QuarantineSeconds)
		if old != nil {
			return nil
		}
		return work.Enqueue(tx, SweepJob, "numbers", nil, tx.Now().Add(sweepEvery))
	}
}

func dropPool(tx *store.Tx, p *ResourcePool) error {
	var one int64
	err := tx.Row(`SELECT 1 FROM inventory_number WHERE tenant = $1 AND pool = $2
		UNION ALL SELECT 1 FROM inventory_sim WHERE tenant = $1 AND pool = $2 LIMIT 1`, p.ID).Scan(&one)
	if err == nil {
		return fault.Clash("poolNotEmpty", "Pool %q still holds numbers or SIMs", p.Name)
	}
	if err != store.ErrNotFound {
		return err
	}
	tx.Queue("DELETE FROM inventory_pool WHERE tenant = $1 AND id = $2", p.ID)
	return nil
}
