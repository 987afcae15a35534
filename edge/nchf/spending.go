package nchf

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/edge/credit"
	"tandem/kit/fault"
)

// Spending is Nchf_SpendingLimitControl (TS 29.594): who has it is asked by a PCF how far its subscribers are from their limits.
type Spending struct {
	Policy        Policy
	Subscriptions Subscriptions
}

// Policy knows the counters of subscribers; the business wing has it.
type Policy interface {
	// Statuses tells the counters that are asked for; without ids, all. unknown are ids that the subscriber has no counter of. A
	// subscriber that does not exist is a fault of kind NotFound.
	Statuses(ctx context.Context, subscriber []credit.Subscriber, ids []string) (statuses map[string]Status, unknown []string, err error)
}

// Subscriptions keeps who wants to hear of changes. What is saved must outlive the process.
type Subscriptions interface {
	// Save keeps a subscription, new or changed, that is being told these statuses.
	Save(context.Context, Subscription, map[string]Status) error
	Load(ctx context.Context, id string) (Subscription, error) // a fault of kind NotFound if there is none
	Delete(ctx context.Context, id string) error
}

// Status is where a counter stands, and where it will stand later without another word: a cycle begins anew, a time of day comes. The
// names are the operator's own.
type Status struct {
	Current string
	Pending []Pending
}

// Pending is a status that will be.
type Pending struct {
	Status string
	At     time.Time
}

// Subscription is one subscription of a PCF to counters of a subscriber.
type Subscription struct {
	ID       string
	SUPI     string
	GPSI     string
	Counters []string // empty: all
	Notify   string   // notifUri
	NotifyID string   // notifId: the PCF's name for it
	Expires  time.Time
}

// Subscribers are the names of the subscription's subscriber.
func (s *Subscription) Subscribers() []credit.Subscriber {
	var out []credit.Subscriber
	for _, name := range [...]string{s.SUPI, s.GPSI} {
		if name != "" {
			out = append(out, nameOf([]byte(name)))
		}
	}
	return out
}

// Bodies of TS 29.594 6.1.6.
type (
	spendingContext struct {
		SUPI     string   `json:"supi"`
		GPSI     string   `json:"gpsi"`
		Counters []string `json:"policyCounterIds"`
		Notify   string   `json:"notifUri"`
		Expiry   string   `json:"expiry"`
		Features *string  `json:"supportedFeatures"`
		NotifyID string   `json:"notifId"`
	}
	spendingStatus struct {
		SUPI     string                 `json:"supi,omitzero"`
		NotifyID string                 `json:"notifId,omitzero"`
		Infos    map[string]counterInfo `json:"statusInfos,omitempty"`
		Expiry   string                 `json:"expiry,omitzero"`
		Features string                 `json:"supportedFeatures,omitzero"`
	}
	counterInfo struct {
		ID      string          `json:"policyCounterId"`
		Current string          `json:"currentStatus"`
		Pending []pendingStatus `json:"penPolCounterStatuses,omitempty"`
	}
	pendingStatus struct {
		Status string `json:"policyCounterStatus"`
		At     string `json:"activationTime"`
	}
	terminationInfo struct {
		SUPI     string `json:"supi"`
		NotifyID string `json:"notifId,omitzero"`
		Cause    string `json:"termCause,omitzero"`
	}
)

const spendingPath = "/nchf-spendinglimitcontrol/v1/subscriptions"

// maxCounters caps what one subscription asks for.
const maxCounters = 1024

func (s *Server) spendingHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.problem(w, 404, "RESOURCE_URI_STRUCTURE_NOT_FOUND", "There is nothing at this path", "")
	})
	if s.cfg.Spending == nil {
		return mux
	}
	guarded := func(handle func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if s.permits(w, r) {
				handle(w, r)
			}
		}
	}
	root := s.rootPath + spendingPath
	mux.HandleFunc("POST "+root, guarded(s.subscribe))
	mux.HandleFunc("PUT "+root+"/{id}", guarded(s.resubscribe))
	mux.HandleFunc("DELETE "+root+"/{id}", guarded(s.unsubscribe))
	for path, allow := range map[string]string{root: "POST", root + "/{id}": "PUT, DELETE"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", allow)
			s.problem(w, 405, "", "The method is not possible here", "")
		})
	}
	return mux
}

// permits checks the access token of a plain request.
func (s *Server) permits(w http.ResponseWriter, r *http.Request) bool {
	x := s.exchange()
	defer s.recycle(x)
	x.auth = append(x.auth, r.Header.Get("Authorization")...)
	if x.authorized(ScopeSpending) {
		return true
	}
	x.answer.write(w, x.out)
	return false
}

func (s *Server) problem(w http.ResponseWriter, status int, cause, title, param string) {
	p := reply{status: status, problem: true}
	p.write(w, appendProblem(nil, status, cause, title, "", param))
}

// subscribe handles POST subscriptions (TS 29.594 4.2.2).
func (s *Server) subscribe(w http.ResponseWriter, r *http.Request) {
	sub, in, ok := s.readContext(w, r, Subscription{ID: rand.Text()})
	if !ok {
		return
	}
	statuses, ok := s.statuses(w, r, sub)
	if !ok {
		return
	}
	if err := s.cfg.Spending.Subscriptions.Save(r.Context(), sub, statuses); err != nil {
		s.away(w, err)
		return
	}
	root := s.cfg.Root
	if root == "" {
		root = "http://" + r.Host
		if isSecure(r) {
			root = "https://" + r.Host
		}
	}
	w.Header().Set("Location", root+spendingPath+"/"+sub.ID)
	s.tellStatus(w, http.StatusCreated, sub, in, statuses)
}

// resubscribe handles PUT subscriptions/{id} (TS 29.594 4.2.3): the new list replaces the old one, and all of it is told.
func (s *Server) resubscribe(w http.ResponseWriter, r *http.Request) {
	old, ok := s.loaded(w, r)
	if !ok {
		return
	}
	sub, in, ok := s.readContext(w, r, old)
	if !ok {
		return
	}
	statuses, ok := s.statuses(w, r, sub)
	if !ok {
		return
	}
	if err := s.cfg.Spending.Subscriptions.Save(r.Context(), sub, statuses); err != nil {
		s.away(w, err)
		return
	}
	s.tellStatus(w, http.StatusOK, sub, in, statuses)
}

// unsubscribe handles DELETE subscriptions/{id} (TS 29.594 4.2.4).
func (s *Server) unsubscribe(w http.ResponseWriter, r *http.Request) {
	sub, ok := s.loaded(w, r)
	if !ok {
		return
	}
	if err := s.cfg.Spending.Subscriptions.Delete(r.Context(), sub.ID); err != nil {
		s.away(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) loaded(w http.ResponseWriter, r *http.Request) (Subscription, bool) {
	sub, err := s.cfg.Spending.Subscriptions.Load(r.Context(), r.PathValue("id"))
	switch {
	case fault.Is(err, fault.NotFound):
		s.problem(w, 404, "SUBSCRIPTION_NOT_FOUND", "There is no such subscription", "")
	case err != nil:
		s.away(w, err)
	}
	return sub, err == nil
}

// readContext reads a SpendingLimitContext over what is known of the subscription. Names of the subscriber and places to notify that
// are not given stay as they were.
func (s *Server) readContext(w http.ResponseWriter, r *http.Request, sub Subscription) (Subscription, *spendingContext, bool) {
	bad := func(status int, cause, title, param string) (Subscription, *spendingContext, bool) {
		s.problem(w, status, cause, title, param)
		return sub, nil, false
	}
	if !isJSON([]byte(r.Header.Get("Content-Type"))) {
		return bad(415, "", "The body must be application/json", "")
	}
	body, err := readBody(nil, r.Body, s.cfg.MaxBody)
	if err != nil || len(body) > s.cfg.MaxBody {
		return bad(413, "", "The body is too large", "")
	}
	in := new(spendingContext)
	if err := json.Unmarshal(body, in); err != nil {
		return bad(400, causeFormat, "The request cannot be read", pointerOf(err))
	}
	sub.SUPI, sub.GPSI = orElse(in.SUPI, sub.SUPI), orElse(in.GPSI, sub.GPSI)
	sub.Notify, sub.NotifyID = orElse(in.Notify, sub.Notify), orElse(in.NotifyID, sub.NotifyID)
	sub.Counters = in.Counters
	if in.Expiry != "" {
		at, ok := parseTime([]byte(in.Expiry))
		if !ok {
			return bad(400, causeWrong, "The expiry is not an instant", "expiry")
		}
		sub.Expires = time.UnixMicro(at).UTC()
	}
	switch {
	case sub.SUPI == "" && sub.GPSI == "":
		return bad(400, causeMissing, "The subscriber is missing", "supi")
	case sub.Notify == "":
		return bad(400, causeMissing, "The place to notify is missing", "notifUri")
	case len(in.Counters) > maxCounters:
		return bad(400, causeWrong, "Too many policy counters", "policyCounterIds")
	}
	return sub, in, true
}

// pointerOf is where in a body an error lies.
func pointerOf(err error) string {
	var e *json.SemanticError
	if errors.As(err, &e) {
		return string(e.JSONPointer)
	}
	return ""
}

// statuses asks the policy; unknown counters are named (as Sy does with 5570).
func (s *Server) statuses(w http.ResponseWriter, r *http.Request, sub Subscription) (map[string]Status, bool) {
	statuses, unknown, err := s.cfg.Spending.Policy.Statuses(r.Context(), sub.Subscribers(), sub.Counters)
	switch {
	case fault.Is(err, fault.NotFound):
		s.problem(w, 400, "USER_UNKNOWN", "The subscriber is not known", "")
	case err != nil:
		s.away(w, err)
	case len(unknown) > 0:
		s.problem(w, 400, "UNKNOWN_POLICY_COUNTERS", "These policy counters are not known: "+strings.Join(unknown, ", "), "policyCounterIds")
	case len(statuses) == 0:
		s.problem(w, 400, "NO_AVAILABLE_POLICY_COUNTERS", "The subscriber has no policy counters", "")
	default:
		return statuses, true
	}
	return nil, false
}

// away answers an error of ours.
func (s *Server) away(w http.ResponseWriter, err error) {
	f := fault.Of(err)
	switch f.Kind {
	case fault.Forbidden:
		s.problem(w, 403, "OPERATION_NOT_ALLOWED", f.Reason, "")
	case fault.Invalid, fault.Conflict:
		s.problem(w, 400, causeWrong, f.Reason, "")
	case fault.Unavailable, fault.TooMany:
		w.Header().Set("Retry-After", "2")
		s.problem(w, 503, "NF_CONGESTION", f.Reason, "")
	default:
		s.problem(w, 500, "SYSTEM_FAILURE", "Something went wrong on our side", "")
	}
}

func (s *Server) tellStatus(w http.ResponseWriter, status int, sub Subscription, in *spendingContext, statuses map[string]Status) {
	out := statusBody(&sub, statuses)
	if !sub.Expires.IsZero() {
		out.Expiry = instant(sub.Expires.UnixMicro())
	}
	if in.Features != nil {
		out.Features = "0" // none of the optional features is ours
	}
	body, err := json.Marshal(out, json.Deterministic(true))
	if err != nil {
		s.away(w, err)
		return
	}
	p := reply{status: status, location: []byte(w.Header().Get("Location"))}
	p.write(w, body)
}

func statusBody(sub *Subscription, statuses map[string]Status) spendingStatus {
	out := spendingStatus{SUPI: sub.SUPI, NotifyID: sub.NotifyID, Infos: map[string]counterInfo{}}
	for id, st := range statuses {
		info := counterInfo{ID: id, Current: st.Current}
		for _, p := range st.Pending {
			info.Pending = append(info.Pending, pendingStatus{p.Status, instant(p.At.UnixMicro())})
		}
		out.Infos[id] = info
	}
	return out
}

// Changed tells a PCF of counters that have changed ({notifUri}/notify, TS 29.594 4.2.5.2). What is told of one subscription comes in
// order. Whoever calls tries again until the outcome is Accepted, or Gone: then the subscription is over.
func (s *Server) Changed(ctx context.Context, sub Subscription, statuses map[string]Status) (credit.Outcome, error) {
	body, err := json.Marshal(statusBody(&sub, statuses), json.Deterministic(true))
	if err != nil {
		return credit.NoAnswer, err
	}
	return orAway(ctx, func(done func(credit.Outcome)) {
		s.teller.tell([]byte(sub.ID), notice{strings.TrimSuffix(sub.Notify, "/") + "/notify", body, done})
	}), nil
}

// Removed is the one cause of an end that has a name (TS 29.594 6.1.6.3.3).
const Removed = "REMOVED_SUBSCRIBER"

// Ended tells a PCF that its subscription has ended ({notifUri}/terminate, TS 29.594 4.2.5.3).
func (s *Server) Ended(ctx context.Context, sub Subscription, cause string) (credit.Outcome, error) {
	body, err := json.Marshal(terminationInfo{orElse(sub.SUPI, sub.GPSI), sub.NotifyID, cause})
	if err != nil {
		return credit.NoAnswer, err
	}
	return orAway(ctx, func(done func(credit.Outcome)) {
		s.teller.tell([]byte(sub.ID), notice{strings.TrimSuffix(sub.Notify, "/") + "/terminate", body, done})
	}), nil
}
