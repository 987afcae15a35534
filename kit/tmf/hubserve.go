package tmf

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// hubBody is a subscription on the wire.
type hubBody struct {
	ID        string `json:"id,omitzero"`
	Href      string `json:"href,omitzero"`
	Callback  string `json:"callback,omitzero" tmf:"required"`
	Query     string `json:"query,omitzero"`
	LastError string `json:"lastError,omitzero"`
	Attempts  *int64 `json:"failedAttempts,omitzero"`
}

// serve answers /hub, /hub/{id}, /hub/{id}/deadLetter and /hub/{id}/deadLetter/{seq}/redeliver.
func (h *Hub) serve(w http.ResponseWriter, r *http.Request, a *mountedAPI, caller *Caller, rest string) {
	id, sub, _ := strings.Cut(rest, "/")
	var err error
	switch {
	case id == "" && r.Method == http.MethodPost:
		err = h.subscribe(w, r, a, caller)
	case id == "" && r.Method == http.MethodGet:
		err = h.list(w, r, a, caller)
	case sub == "" && id != "" && r.Method == http.MethodGet:
		err = h.show(w, r, a, caller, id)
	case sub == "" && id != "" && r.Method == http.MethodDelete:
		err = h.unsubscribe(w, r, a, caller, id)
	case sub == "deadLetter" && r.Method == http.MethodGet:
		err = h.deadLetters(w, r, a, caller, id)
	case strings.HasPrefix(sub, "deadLetter/") && r.Method == http.MethodPost:
		err = h.redeliver(w, r, a, caller, id, strings.TrimPrefix(sub, "deadLetter/"))
	default:
		writeError(w, http.StatusMethodNotAllowed, "methodNotAllowed", "hub does not take "+r.Method+" here")
	}
	if err != nil {
		WriteError(w, r, err)
	}
}

// hubKind is what permissions to subscribe name; there is no such resource.
const hubKind = "hub"

// allowedHub: whoever may read any resource of the API may see who listens; each
// event is checked against the permission for its own kind when it is delivered.
func allowedHub(a *mountedAPI, caller *Caller) error {
	for _, k := range a.order {
		if caller.Allow(a.ID, k.Meta().Name, VerbRead) {
			return nil
		}
	}
	return fault.Denied("notAllowed", "You may not listen to %s", a.ID)
}

// mayTouch: a subscription is its owner's, and of those whose permission for hub says so.
func mayTouch(a *mountedAPI, caller *Caller, owner, verb string) error {
	if caller.Actor == owner || caller.Allow(a.ID, hubKind, verb) {
		return nil
	}
	return fault.Denied("notAllowed", "This subscription is another's; you may not %s it", verb)
}

// audited is a subscription as the audit shows it: what follows the ? of a callback
// may be a secret.
func (h *Hub) audited(tx *store.Tx, action, id string, before, after *subscription) error {
	shown := func(s *subscription) any {
		if s == nil {
			return nil
		}
		callback, _, _ := strings.Cut(s.callback, "?")
		return map[string]string{"api": s.api, "callback": callback, "query": s.query, "owner": s.owner}
	}
	return h.opt.Audit(tx, action, "hub:"+id, shown(before), shown(after))
}

func (h *Hub) subscribe(w http.ResponseWriter, r *http.Request, a *mountedAPI, caller *Caller) error {
	if err := allowedHub(a, caller); err != nil {
		return err
	}
	if !caller.Allow(a.ID, hubKind, VerbCreate) {
		return fault.Denied("notAllowed", "You may not subscribe to %s; ask your administrator for the permission", a.ID)
	}
	data, err := ReadBody(w, r, maxBody)
	if err != nil {
		return err
	}
	var b hubBody
	if err := decodeInput(data, &b); err != nil {
		return err
	}
	if b.Callback == "" {
		return fault.BadInput("mandatoryAttributeMissing", "callback is required")
	}
	if err := CheckOutbound("callback", b.Callback, h.opt.AllowLocal); err != nil {
		return err
	}
	if _, err := parseQuery(b.Query, h.resolver(a.ID)); err != nil {
		return err
	}
	b.ID, b.LastError, b.Attempts = NewID(), "", nil
	b.Href = a.Base + "/hub/" + b.ID
	at, err := h.newest(r.Context())
	if err != nil {
		return err
	}
	err = h.db.Write(r.Context(), caller.scope(), func(tx *store.Tx) error {
		var n int64
		if err := tx.Row("SELECT count(*) FROM tmf_hub WHERE tenant = $1").Scan(&n); err != nil {
			return err
		}
		if n >= maxHubs {
			return fault.Clash("tooManyHubs", "This tenant has %d subscriptions already, which is the limit", n)
		}
		tx.Queue(`INSERT INTO tmf_hub (tenant, id, api, callback, query, owner, cursor, attempt, next_at, lease_until, last_error, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, '', $8)`, b.ID, a.ID, b.Callback, b.Query, caller.Actor, at, store.Micros(tx.Now()))
		return h.audited(tx, "hub.create", b.ID, nil, &subscription{api: a.ID, callback: b.Callback, query: b.Query, owner: caller.Actor})
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", b.Href)
	return reply(w, http.StatusCreated, b)
}

func reply(w http.ResponseWriter, status int, v any) error {
	body, err := encode(v)
	if err == nil {
		writeBody(w, status, body)
	}
	return err
}

func (h *Hub) list(w http.ResponseWriter, r *http.Request, a *mountedAPI, caller *Caller) error {
	if err := allowedHub(a, caller); err != nil {
		return err
	}
	out, err := h.subscriptions(r, a, caller, "")
	if err != nil {
		return err
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(len(out)))
	w.Header().Set("X-Result-Count", strconv.Itoa(len(out)))
	return reply(w, http.StatusOK, out)
}

func (h *Hub) show(w http.ResponseWriter, r *http.Request, a *mountedAPI, caller *Caller, id string) error {
	if err := allowedHub(a, caller); err != nil {
		return err
	}
	out, err := h.subscriptions(r, a, caller, id)
	if err != nil {
		return err
	}
	if len(out) == 0 {
		return fault.Missing("hub", id)
	}
	return reply(w, http.StatusOK, out[0])
}

func (h *Hub) subscriptions(r *http.Request, a *mountedAPI, caller *Caller, id string) ([]hubBody, error) {
	out := []hubBody{}
	err := h.db.Read(r.Context(), caller.scope(), func(tx *store.Tx) error {
		rows, err := tx.Query("SELECT id, callback, query, attempt, last_error FROM tmf_hub WHERE tenant = $1 AND api = $2 AND ($3 = '' OR id = $3) ORDER BY id", a.ID, id)
		found, err := store.Collect(rows, err, func(x store.Rows) (b hubBody, err error) {
			b.Attempts = new(int64)
			err = x.Scan(&b.ID, &b.Callback, &b.Query, b.Attempts, &b.LastError)
			b.Href = a.Base + "/hub/" + b.ID
			return b, err
		})
		out = append(out, found...)
		return err
	})
	return out, err
}

func (h *Hub) unsubscribe(w http.ResponseWriter, r *http.Request, a *mountedAPI, caller *Caller, id string) error {
	if err := allowedHub(a, caller); err != nil {
		return err
	}
	err := h.db.Write(r.Context(), caller.scope(), func(tx *store.Tx) error {
		s := subscription{api: a.ID}
		err := tx.Row("SELECT callback, query, owner FROM tmf_hub WHERE tenant = $1 AND id = $2 AND api = $3", id, a.ID).Scan(&s.callback, &s.query, &s.owner)
		if err == store.ErrNotFound {
			return fault.Missing("hub", id)
		}
		if err != nil {
			return err
		}
		if err := mayTouch(a, caller, s.owner, VerbDelete); err != nil {
			return err
		}
		tx.Queue("DELETE FROM tmf_hub WHERE tenant = $1 AND id = $2 AND api = $3", id, a.ID)
		tx.Queue("DELETE FROM tmf_dead_letter WHERE tenant = $1 AND hub = $2", id)
		return h.audited(tx, "hub.delete", id, &s, nil)
	})
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

type deadLetter struct {
	Seq      int64          `json:"seq"`
	Error    string         `json:"error"`
	Attempts int64          `json:"attempts"`
	At       string         `json:"at"`
	Event    jsontext.Value `json:"event"`
}

func (h *Hub) deadLetters(w http.ResponseWriter, r *http.Request, a *mountedAPI, caller *Caller, id string) error {
	if err := allowedHub(a, caller); err != nil {
		return err
	}
	out := []deadLetter{}
	err := h.db.Read(r.Context(), caller.scope(), func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT seq, error, attempts, at, event FROM tmf_dead_letter WHERE tenant = $1 AND hub = $2
			AND hub IN (SELECT id FROM tmf_hub WHERE tenant = $1 AND api = $3) ORDER BY seq LIMIT 1000`, id, a.ID)
		found, err := store.Collect(rows, err, func(x store.Rows) (d deadLetter, err error) {
			var at int64
			var doc []byte
			err = x.Scan(&d.Seq, &d.Error, &d.Attempts, &at, &doc)
			d.At, d.Event = FormatTime(store.Instant(at)), doc
			return d, err
		})
		for _, d := range found {
			if caller.Allow(a.ID, kindOfEvent(d.Event), VerbRead) {
				out = append(out, d)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

// kindOfEvent is the kind of resource that an event is about.
func kindOfEvent(event []byte) string {
	var e struct {
		Event map[string]jsontext.Value `json:"event"`
	}
	if json.Unmarshal(event, &e) != nil {
		return ""
	}
	for kind := range e.Event {
		return kind
	}
	return ""
}

// redeliver sends one dead letter now and removes it if the callback takes it.
func (h *Hub) redeliver(w http.ResponseWriter, r *http.Request, a *mountedAPI, caller *Caller, id, rest string) error {
	seqText, verb, _ := strings.Cut(rest, "/")
	seq, err := strconv.ParseInt(seqText, 10, 64)
	if err != nil || verb != "redeliver" {
		return fault.Missing("dead letter", rest)
	}
	if err := allowedHub(a, caller); err != nil {
		return err
	}
	var doc []byte
	var callback, owner string
	err = h.db.Read(r.Context(), caller.scope(), func(tx *store.Tx) error {
		return tx.Row(`SELECT d.event, h.callback, h.owner FROM tmf_dead_letter d JOIN tmf_hub h ON h.tenant = d.tenant AND h.id = d.hub
			WHERE d.tenant = $1 AND d.hub = $2 AND d.seq = $3 AND h.api = $4`, id, seq, a.ID).Scan(&doc, &callback, &owner)
	})
	if err == store.ErrNotFound {
		return fault.Missing("dead letter", seqText)
	}
	if err != nil {
		return err
	}
	if err := mayTouch(a, caller, owner, VerbUpdate); err != nil {
		return err
	}
	allow, err := h.authorize(r.Context(), caller.Tenant, owner)
	if err != nil {
		return err
	}
	if kind := kindOfEvent(doc); !caller.Allow(a.ID, kind, VerbRead) || !allow(a.ID, kind, VerbRead) {
		return fault.Denied("notAllowed", "You, or %s who subscribed, may not read %s", owner, kind)
	}
	if err := h.send(r.Context(), callback, doc); err != nil {
		return fault.Clash("notDelivered", "The callback did not take the event: %v", err)
	}
	err = h.db.Write(r.Context(), caller.scope(), func(tx *store.Tx) error {
		tx.Queue("DELETE FROM tmf_dead_letter WHERE tenant = $1 AND hub = $2 AND seq = $3", id, seq)
		return h.opt.Audit(tx, "hub.redeliver", "hub:"+id, map[string]int64{"seq": seq}, nil)
	})
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
