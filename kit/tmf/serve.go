package tmf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/time/rate"

	"tandem/kit/fault"
	"tandem/kit/store"
)

const maxBody = 1 << 20 // bytes of a request body

// Caller is who asks, as access control found out.
type Caller struct {
	Tenant string
	Actor  string
	Allow  func(api, kind, verb string) bool
}

func (c *Caller) scope() store.Scope { return store.Scope{Tenant: c.Tenant, Actor: c.Actor} }

// Options of the server.
type Options struct {
	Authenticate func(*http.Request) (*Caller, error)
	Rate         float64 // requests a second and tenant; 0: no limit
	Hub          *Hub
	Log          *slog.Logger
}

// Server serves all mounted kinds: /tmf-api/{api}/v4/{resource}[/{id}], a hub and
// an OpenAPI document for each API.
type Server struct {
	db    *store.DB
	opt   Options
	apis  []*mountedAPI
	mu    sync.Mutex
	rates map[string]*rate.Limiter
}

type mountedAPI struct {
	*API
	kinds   map[string]Mounted
	order   []Mounted
	openAPI func() []byte
}

// NewServer mounts the kinds.
func NewServer(db *store.DB, kinds []Mounted, opt Options) *Server {
	s := &Server{db: db, opt: opt, rates: map[string]*rate.Limiter{}}
	for _, k := range kinds {
		m := k.Meta()
		i := slices.IndexFunc(s.apis, func(a *mountedAPI) bool { return a.API.Base == m.API.Base })
		if i < 0 {
			i = len(s.apis)
			a := &mountedAPI{API: m.API, kinds: map[string]Mounted{}}
			a.openAPI = sync.OnceValue(func() []byte { return openAPI(a) })
			s.apis = append(s.apis, a)
		}
		s.apis[i].kinds[m.Name] = k
		s.apis[i].order = append(s.apis[i].order, k)
	}
	return s
}

// APIs lists what is served.
func (s *Server) APIs() []*API {
	out := make([]*API, len(s.apis))
	for i, a := range s.apis {
		out[i] = a.API
	}
	return out
}

// ServeHTTP answers a request below one of the base paths.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, a := range s.apis {
		if rest, ok := strings.CutPrefix(r.URL.Path, a.Base+"/"); ok {
			s.serve(w, r, a, strings.TrimSuffix(rest, "/"))
			return
		}
	}
	writeError(w, http.StatusNotFound, "notFound", "There is no API at this path; see /tmf-api")
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, a *mountedAPI, rest string) {
	caller, err := s.opt.Authenticate(r)
	if err != nil {
		WriteError(w, r, err)
		return
	}
	if err := s.Admit(w, caller.Tenant); err != nil {
		WriteError(w, r, err)
		return
	}
	if !utf8.ValidString(rest) || strings.ContainsRune(rest, 0) {
		writeError(w, http.StatusNotFound, "notFound", "The path is not valid text")
		return
	}
	name, id, hasID := strings.Cut(rest, "/")
	id, ofHistory := strings.CutSuffix(id, "/history")
	switch {
	case rest == "openapi.json" && r.Method == http.MethodGet:
		writeBody(w, http.StatusOK, a.openAPI())
	case name == "hub":
		s.opt.Hub.serve(w, r, a, caller, id)
	case a.kinds[name] == nil || strings.Contains(id, "/"):
		writeError(w, http.StatusNotFound, "notFound", fmt.Sprintf("%s has no resource %.60q", a.ID, name))
	default:
		c := &call{s: s, w: w, r: r, kind: a.kinds[name], meta: a.kinds[name].Meta(), caller: caller, id: id, ofHistory: ofHistory}
		if err := c.run(hasID); err != nil {
			WriteError(w, r, err)
		}
	}
}

// Admit counts a request against the tenant's rate; fault.TooMany if that is used up,
// and the answer's headers say until when.
func (s *Server) Admit(w http.ResponseWriter, tenant string) error {
	if s.opt.Rate <= 0 {
		return nil
	}
	s.mu.Lock()
	l := s.rates[tenant]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(s.opt.Rate), int(max(1, s.opt.Rate)))
		s.rates[tenant] = l
	}
	s.mu.Unlock()
	if l.Allow() {
		return nil
	}
	w.Header().Set("Retry-After", "1")
	w.Header().Set("X-Rate-Limit-Limit", strconv.Itoa(int(s.opt.Rate)))
	w.Header().Set("X-Rate-Limit-Remaining", "0")
	w.Header().Set("X-Rate-Limit-Reset", strconv.FormatInt(time.Now().Add(time.Second).Unix(), 10))
	return fault.New(fault.TooMany, "tooManyRequests", "The request rate of this tenant is used up; try again in a second")
}

// call is one request to one kind.
type call struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	kind   Mounted
	meta   Meta
	caller *Caller
	id     string

	ofHistory bool // the path ends in /history
}

// verbs of permissions.
const (
	VerbRead   = "read"
	VerbCreate = "create"
	VerbUpdate = "update"
	VerbDelete = "delete"
)

func (c *call) run(hasID bool) error {
	v := c.meta.Verbs
	switch m := c.r.Method; {
	case c.ofHistory && m == http.MethodGet:
		return c.allowed(VerbRead, c.history)
	case c.ofHistory:
		v = ReadOnly
	case m == http.MethodGet && hasID:
		return c.allowed(VerbRead, c.get)
	case m == http.MethodGet:
		return c.allowed(VerbRead, c.list)
	case m == http.MethodPost && !hasID && v&Post != 0:
		return c.allowed(VerbCreate, c.post)
	case m == http.MethodPatch && hasID && v&Patch != 0:
		return c.allowed(VerbUpdate, c.patch)
	case m == http.MethodDelete && hasID && v&Delete != 0:
		return c.allowed(VerbDelete, c.delete)
	}
	c.w.Header().Set("Allow", v.allow(hasID))
	writeError(c.w, http.StatusMethodNotAllowed, "methodNotAllowed", fmt.Sprintf("%s does not take %s here", c.meta.Name, c.r.Method))
	return nil
}

func (v Verbs) allow(hasID bool) string {
	out := "GET"
	for _, x := range []struct {
		verb Verbs
		on   bool
		name string
	}{{Post, !hasID, "POST"}, {Patch, hasID, "PATCH"}, {Delete, hasID, "DELETE"}} {
		if v&x.verb != 0 && x.on {
			out += ", " + x.name
		}
	}
	return out
}

func (c *call) allowed(verb string, f func() error) error {
	if !c.caller.Allow(c.meta.API.ID, c.meta.Name, verb) {
		return fault.Denied("notAllowed", "You may not %s %s; ask your administrator for the permission", verb, c.meta.Name)
	}
	return f()
}

func (c *call) get() error {
	q, err := parseQuery(c.r.URL.RawQuery, noConditions)
	if err != nil {
		return err
	}
	var d document
	err = c.s.db.Read(c.r.Context(), c.caller.scope(), func(tx *store.Tx) (err error) {
		d, err = c.kind.getDoc(tx, c.id)
		return err
	})
	if err != nil {
		return err
	}
	h := c.w.Header()
	if d.rev > 0 { // what is served from rows has no revision
		h.Set("ETag", etag(d.rev))
	}
	if d.updated > 0 {
		h.Set("Last-Modified", store.Instant(d.updated).Format(http.TimeFormat))
	}
	h.Set("Cache-Control", "private, no-cache")
	if d.rev > 0 && noneMatch(c.r.Header.Get("If-None-Match"), d.rev) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body, err := pick(d.body, q.Fields)
	if err != nil {
		return err
	}
	writeBody(c.w, http.StatusOK, body)
	return nil
}

// noConditions is the resolver for requests that take no filter.
func noConditions(string) *attribute { return nil }

func noneMatch(header string, rev int64) bool {
	for _, tag := range strings.Split(header, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == etag(rev) {
			return true
		}
	}
	return false
}

// pick keeps id, href and the named first-level attributes (point 6).
func pick(body []byte, fields []string) ([]byte, error) {
	if fields == nil {
		return body, nil
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	for name := range all {
		if name != "id" && name != "href" && !slices.Contains(fields, name) {
			delete(all, name)
		}
	}
	return json.Marshal(all, json.Deterministic(true))
}

func (c *call) list() error {
	q, err := parseQuery(c.r.URL.RawQuery, c.meta.plan.attribute)
	if err != nil {
		return err
	}
	var p page
	ctx, cancel := context.WithTimeout(c.r.Context(), maxList)
	defer cancel()
	err = c.s.db.Read(ctx, c.caller.scope(), func(tx *store.Tx) (err error) {
		p, err = c.kind.listDocs(tx, q)
		return err
	})
	if err != nil {
		return err
	}
	return c.writeList(q, p)
}

// writeList answers with a page of documents.
func (c *call) writeList(q *Query, p page) error {
	body := []byte{'['}
	for i, d := range p.docs {
		one, err := pick(d.body, q.Fields)
		if err != nil {
			return err
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, one...)
	}
	body = append(body, ']')
	c.listHeaders(q, p)
	status := http.StatusOK
	if int64(len(p.docs)) < p.total && len(p.docs) > 0 {
		status = http.StatusPartialContent
	}
	writeBody(c.w, status, body)
	return nil
}

func (c *call) listHeaders(q *Query, p page) {
	h := c.w.Header()
	h.Set("X-Total-Count", strconv.FormatInt(p.total, 10))
	h.Set("X-Result-Count", strconv.Itoa(len(p.docs)))
	h.Set("Cache-Control", "private, no-cache")
	last := max(0, (p.total-1)/int64(q.Limit)*int64(q.Limit))
	c.link("self", int64(q.Offset), q)
	if last > 0 {
		c.link("first", 0, q)
		c.link("last", last, q)
	}
	if q.Offset > 0 {
		c.link("prev", int64(max(0, q.Offset-q.Limit)), q)
	}
	if next := int64(q.Offset + len(p.docs)); next < p.total && len(p.docs) > 0 {
		c.link("next", next, q)
	}
}

func (c *call) link(rel string, offset int64, q *Query) {
	var keep []string
	for _, part := range strings.Split(c.r.URL.RawQuery, "&") {
		if name, _, _ := strings.Cut(part, "="); part != "" && name != "offset" && name != "limit" {
			keep = append(keep, part)
		}
	}
	keep = append(keep, fmt.Sprintf("offset=%d", offset), fmt.Sprintf("limit=%d", q.Limit))
	u := url.URL{Path: c.r.URL.Path, RawQuery: strings.Join(keep, "&")}
	c.w.Header().Add("Link", fmt.Sprintf("<%s>; rel=%q", u.String(), rel))
}

// ReadBody reads a request body of at most so many bytes.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return nil, fault.New(fault.TooLarge, "bodyTooLarge", "This request's body has at most %d bytes", most)
	}
	if err != nil {
		return nil, fault.BadInput("bodyIncomplete", "The request body ended early")
	}
	return data, nil
}

func (c *call) body() ([]byte, error) { return ReadBody(c.w, c.r, maxBody) }

func (c *call) post() error {
	if ct := c.r.Header.Get("Content-Type"); ct != "" {
		if mt, _, err := mime.ParseMediaType(ct); err != nil || mt != "application/json" {
			return fault.New(fault.Unsupported, "unsupportedMediaType", "POST takes application/json")
		}
	}
	q, err := parseQuery(c.r.URL.RawQuery, noConditions)
	if err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	if err := sound(body); err != nil {
		return err
	}
	d, acted, err := c.kind.act(c.r.Context(), c.s.db, c.caller.scope(), body)
	if !acted {
		err = c.s.db.Write(c.r.Context(), c.caller.scope(), func(tx *store.Tx) (err error) {
			d, err = c.kind.post(tx, body)
			return err
		})
	}
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", c.meta.API.Base+"/"+c.meta.Name+"/"+url.PathEscape(d.id))
	if d.rev > 0 {
		c.w.Header().Set("ETag", etag(d.rev))
	}
	if body, err = pick(d.body, q.Fields); err != nil {
		return err
	}
	writeBody(c.w, http.StatusCreated, body)
	return nil
}

func (c *call) patch() error {
	isOps, err := patchType(c.r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	req := patchRequest{body: body, isOps: isOps, ifMatch: c.r.Header.Get("If-Match")}
	var d document
	err = c.s.db.Write(c.r.Context(), c.caller.scope(), func(tx *store.Tx) (err error) {
		d, err = c.kind.patch(tx, c.id, req)
		return err
	})
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", etag(d.rev))
	writeBody(c.w, http.StatusOK, d.body)
	return nil
}

func (c *call) delete() error {
	err := c.s.db.Write(c.r.Context(), c.caller.scope(), func(tx *store.Tx) error {
		return c.kind.remove(tx, c.id, c.r.Header.Get("If-Match"))
	})
	if err == nil {
		c.w.WriteHeader(http.StatusNoContent)
	}
	return err
}
