package tmf

import (
	"context"
	"regexp"

	"tandem/kit/fault"
	"tandem/kit/store"
)

var idShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$`)

func (k *Kind[T, P]) getDoc(tx *store.Tx, id string) (d document, err error) {
	if k.Rows != nil {
		p, err := k.row(tx, id)
		if err != nil {
			return d, err
		}
		return document{id: id, body: p.Base().raw}, nil
	}
	err = tx.Row("SELECT id, rev, updated_at, doc FROM "+k.Table+" WHERE tenant = $1 AND id = $2", id).
		Scan(&d.id, &d.rev, &d.updated, &d.body)
	if err == store.ErrNotFound {
		return d, fault.Missing(k.Name, id)
	}
	if err != nil || k.View == nil {
		return d, err
	}
	p, err := k.decodeStored(d.body, d.rev)
	if err != nil {
		return d, err
	}
	d, err = k.shown(p)
	return d, err
}

// shown is a resource as a client sees it.
func (k *Kind[T, P]) shown(p P) (d document, err error) {
	b := p.Base()
	d = document{id: b.ID, rev: b.rev, body: b.raw}
	if k.View == nil {
		return d, nil
	}
	q, err := k.Copy(p)
	if err != nil {
		return d, err
	}
	k.View(q)
	d.body, err = encode(q)
	return d, err
}

// parse reads a resource that a client sends.
func (k *Kind[T, P]) parse(body []byte) (P, error) {
	p := P(new(T))
	if err := decodeInput(body, p); err != nil {
		return nil, err
	}
	b := p.Base()
	if b.ID != "" && !idShape.MatchString(b.ID) {
		return nil, fault.BadInput("badId", "An id given by the client has 1 to 64 of the characters A-Z a-z 0-9 . _ : -")
	}
	return p, k.ready().validate(p)
}

// act does a POST outside the store's transactions, if the Kind has that.
func (k *Kind[T, P]) act(ctx context.Context, db *store.DB, s store.Scope, body []byte) (d document, done bool, err error) {
	if k.Act == nil {
		return d, false, nil
	}
	p, err := k.parse(body)
	if err != nil {
		return d, true, err
	}
	if err := k.Act(ctx, db, s, p); err != nil {
		return d, true, err
	}
	b := p.Base()
	if b.raw, err = encode(p); err != nil {
		return d, true, err
	}
	d, err = k.shown(p)
	return d, true, err
}

func (k *Kind[T, P]) post(tx *store.Tx, body []byte) (document, error) {
	p, err := k.parse(body)
	if err != nil {
		return document{}, err
	}
	save := k.Create
	if k.OnPost != nil {
		save = k.OnPost
	}
	if err := save(tx, p); err != nil {
		return document{}, err
	}
	return k.shown(p)
}

func (k *Kind[T, P]) patch(tx *store.Tx, id string, r patchRequest) (document, error) {
	lock := k.Lock
	if k.Rows != nil {
		lock = k.row // OnPatch locks the rows that it changes
	}
	old, err := lock(tx, id)
	if err != nil {
		return document{}, err
	}
	if err := checkMatch(r.ifMatch, old.Base().rev); err != nil {
		return document{}, err
	}
	doc, err := r.apply(old.Base().raw)
	if err != nil {
		return document{}, err
	}
	if err := keepsFrozen(old.Base().raw, doc, k.Frozen); err != nil {
		return document{}, err
	}
	p := P(new(T))
	if err := decodeInput(doc, p); err != nil {
		return document{}, err
	}
	p.Base().rev, p.Base().raw = old.Base().rev, doc
	if k.OnPatch != nil {
		err = k.OnPatch(tx, old, p)
	} else {
		err = k.Save(tx, old, p)
	}
	if err != nil {
		return document{}, err
	}
	if k.Rows != nil {
		return k.getDoc(tx, id)
	}
	return k.shown(p)
}

func (k *Kind[T, P]) remove(tx *store.Tx, id, match string) error {
	old, err := k.Lock(tx, id)
	if err != nil {
		return err
	}
	if err := checkMatch(match, old.Base().rev); err != nil {
		return err
	}
	if k.OnDelete != nil {
		return k.OnDelete(tx, old)
	}
	return k.Remove(tx, old)
}
