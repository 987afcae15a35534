package tenancy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/app"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// prober is tenant beta, looking for alpha. Everything it is answered is searched
// for alpha's marks, save what it sent itself.
type prober struct {
	who
	alpha marks
	asked int
	// repeated are alpha's names that beta has written into its own resources.
	repeated []string
	// third is another guest, who posts what points to alpha's: some of it is taken,
	// and would be found among beta's own.
	third who
}

// ask sends a request and searches the answer. sent are texts of alpha's that the
// request itself holds and the answer may repeat.
func (p *prober) ask(method, path string, body any, sent ...string) answer {
	p.Helper()
	p.asked++
	a := p.do(method, path, body)
	p.search(fmt.Sprintf("%s %s %v: %d", method, path, body, a.status), answerBytes(a), sent...)
	return a
}

func answerBytes(a answer) []byte {
	var b bytes.Buffer
	_ = a.header.Write(&b) // a buffer takes all
	b.Write(a.body)
	return b.Bytes()
}

func (p *prober) search(what string, data []byte, sent ...string) {
	p.Helper()
	text := without(string(data), sent...)
	for _, mark := range p.alpha.all() {
		if i := strings.Index(text, mark); i >= 0 {
			p.Errorf("%s: alpha's %q came out: ...%.200s...", what, mark, text[max(0, i-60):])
		}
	}
}

// without takes out what was sent, in all the forms in which it is repeated.
func without(text string, sent ...string) string {
	for _, s := range sent {
		quoted, _ := json.Marshal(s) // strings always encode
		for _, form := range []string{s, strings.Trim(string(quoted), `"`), strings.Trim(strconv.Quote(s), `"`), url.QueryEscape(s), url.PathEscape(s)} {
			text = strings.ReplaceAll(text, form, "#")
		}
	}
	return text
}

// same asks twice, about something of alpha's and about something that does not
// exist anywhere: the answers must be the same but for the name asked for.
func (p *prober) same(method string, real, ghost string, path func(name string) string, body func(name string) any) {
	p.Helper()
	var got [2]string
	for i, name := range []string{real, ghost} {
		a := p.ask(method, path(name), body(name), name)
		a.header.Del("Content-Length") // the names differ in length
		for _, h := range []string{"Location", "ETag", "Last-Modified"} {
			if v := a.header.Get(h); v != "" && a.status/100 == 2 && h == "Last-Modified" {
				a.header.Set(h, "#")
			}
		}
		got[i] = plain(fmt.Sprint(a.status, " ", without(string(answerBytes(a)), name)))
	}
	if got[0] != got[1] {
		p.Errorf("%s %s tells what exists:\n%s\nbut of nothing:\n%s", method, path(real), got[0], got[1])
	}
}

func nothing(string) any { return nil }

// leaves are the dotted paths of a document with their values as a filter takes
// them.
func leaves(v any, path string, f func(path, value string)) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			leaves(e, strings.TrimPrefix(path+"."+k, "."), f)
		}
	case []any:
		for _, e := range x {
			leaves(e, path, f)
		}
	case string:
		f(path, x)
	case float64, bool:
		f(path, fmt.Sprint(x))
	}
}

// A tenant reaches nothing of another by any route, filter, reference, event,
// job, file or error message.
func TestATenantReachesNothingOfAnother(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("TANDEM_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("TANDEM_SEED=%d", seed)
	each(t, func(r *rig) {
		random := rand.New(rand.NewPCG(seed, 0))
		word := func() string { return fmt.Sprintf("zq%x", random.Uint32()) }
		a := marks{id: word() + "i", text: word() + "t", digits: fmt.Sprintf("15%07d", random.IntN(1e7))}
		b := marks{id: word() + "i", text: word() + "t", digits: fmt.Sprintf("16%07d", random.IntN(1e7))}
		alpha, beta := r.admin("alpha", a.id+"token"), r.admin("beta", b.id+"token")
		spy := newListener(t)
		p := &prober{who: beta, alpha: a, third: r.admin("gamma", b.id+"third")}
		p.listen(spy)
		own := newListener(t)
		hubs := alpha.hubs(own, a)
		docs := alpha.populate(a)
		beta.populate(b)
		before := alpha.everything()
		p.probe(docs, random)
		p.probeHubs(hubs, a)
		p.probeFiles(alpha, a)
		p.probeAccess(alpha, a)
		p.probeStock(a)
		for _, path := range []string{"/tmf-api", "/metrics", "/healthz", "/readyz", "/", "/access/v1/me"} {
			p.ask("GET", path, nil)
		}
		r.settle()
		after := alpha.everything()
		for k := range before {
			if before[k] != after[k] {
				t.Errorf("alpha's %s\n was %s\n is  %s", k, before[k], after[k])
			}
		}
		p.overhear(alpha, own, spy, a)
		t.Logf("%d requests of beta", p.asked)
	})
}

// everything is all documents of the tenant, by route and id.
func (w who) everything() map[string]string {
	out := map[string]string{}
	for _, k := range app.Kinds() {
		route := k.Meta().API.Base + "/" + k.Meta().Name
		for _, doc := range w.do("GET", route+"?limit=1000", nil).list() {
			id := doc["id"].(string)
			one := w.do("GET", route+"/"+url.PathEscape(id), nil)
			out[route+"/"+id] = one.header.Get("ETag") + string(one.body)
		}
	}
	return out
}

// probe tries every route of every kind with every name and value of alpha's.
func (p *prober) probe(docs map[string][]map[string]any, random *rand.Rand) {
	over := bodies(p.T)
	for n, k := range app.Kinds() {
		meta := k.Meta()
		route := meta.API.Base + "/" + meta.Name
		p.tricks(route)
		for i, doc := range docs[route] {
			if i > 2 {
				break // of many alike
			}
			p.byID(route, doc["id"].(string), random)
			p.byValue(route, doc)
		}
		if meta.Verbs&tmf.Post != 0 {
			p.references(k, over, n, random)
		}
	}
}

func (p *prober) byID(route, id string, random *rand.Rand) {
	ghost := p.ghost(id, random)
	at := func(tail string) func(string) string {
		return func(name string) string { return route + "/" + url.PathEscape(name) + tail }
	}
	merge := func(string) any { return `{"description":"mine now"}` }
	if !strings.Contains(id, p.alpha.id) && !ulids.MatchString(id) {
		p.ask("PATCH", at("")(id), merge("")) // both have one with this id: beta changes its own
		p.ask("DELETE", at("")(id), nil)
		return
	}
	p.same("GET", id, ghost, at(""), nothing)
	p.same("GET", id, ghost, at("?fields=name"), nothing)
	p.same("GET", id, ghost, at("/history"), nothing)
	p.same("PATCH", id, ghost, at(""), merge)
	p.same("DELETE", id, ghost, at(""), nothing)
	for _, filter := range []string{"id", "id.eq", "id.gte", "id.regex", "href"} {
		p.same("GET", id, ghost, func(name string) string { return route + "?limit=1000&" + filter + "=" + url.QueryEscape(name) }, nothing)
	}
}

// ghost is a name of the same shape that nobody has; it sorts where the real one
// does, so that ranges hold the same of beta's own.
func (p *prober) ghost(name string, random *rand.Rand) string {
	return name + fmt.Sprintf("%04x", random.Uint32()&0xffff)
}

// byValue filters by every value that the document has.
func (p *prober) byValue(route string, doc map[string]any) {
	leaves(doc, "", func(path, value string) {
		if len(value) > 200 {
			return
		}
		a := p.ask("GET", route+"?limit=1000&"+path+"="+url.QueryEscape(value), nil, value)
		marked := slices.ContainsFunc(p.alpha.all(), func(mark string) bool { return strings.Contains(value, mark) })
		if marked && a.status == http.StatusOK && a.header.Get("X-Total-Count") != "0" {
			p.Errorf("%s?%s=%s finds %s", route, path, value, a.body)
		}
	})
}

// tricks are filters that would open the door if anything were pasted together.
func (p *prober) tricks(route string) {
	for _, q := range []string{"", "limit=1000", "tenant=alpha", "tenant.ne=beta", "id.ne=x", "id.gte=", "id.gt=0&sort=-id", "id*=.", "id=~.*", "id%3D~.%2A",
		"id=x'%20OR%20'1'='1", "id=x')%20OR%20tenant='alpha'--", "id'%20OR%201=1--=x", "sort=tenant", "sort=id'", "sort=-id,(SELECT%20doc)", "fields=*", "fields=tenant,doc",
		"offset=0&limit=1000&id.ne=" + p.alpha.id, "filter=$[*]", "id=" + p.alpha.id + ",x;id=y", "%24tenant=alpha", "@type.ne=x", "href.regex=alpha"} {
		p.ask("GET", route+"?"+q, nil, p.alpha.id)
	}
	for _, h := range [][2]string{{"Tandem-Tenant", "alpha"}, {"X-Tenant", "alpha"}, {"Host", "alpha"}} {
		p.asked++
		a := p.do("GET", route+"?limit=1000", nil, h[0], h[1])
		p.search("with "+h[0], answerBytes(a))
	}
}

// references posts bodies that point to alpha's resources, and to none; and a
// resource under an id that alpha has.
func (p *prober) references(k tmf.Mounted, over map[string]map[string]any, n int, random *rand.Rand) {
	meta := k.Meta()
	route := meta.API.Base + "/" + meta.Name
	foreign := p.alpha
	text, err := json.Marshal(foreign.body(k, over, 100+n))
	if err != nil {
		p.Fatal(err)
	}
	// What points to alpha now points to a ghost: the same body with another beginning.
	ghost := fmt.Sprintf("zq%xi", random.Uint32())
	words := fmt.Sprintf("zq%xt", random.Uint32())
	var got [2]answer
	for i, m := range []marks{foreign, {ghost, words, foreign.digits}} {
		var body map[string]any
		if err := json.Unmarshal([]byte(strings.NewReplacer(foreign.id, m.id, foreign.text, m.text).Replace(string(text))), &body); err != nil {
			p.Fatal(err)
		}
		body["id"] = fmt.Sprintf("%s%d-0", m.id, n) // alpha has this one, and nobody the other
		p.asked++
		got[i] = p.third.do("POST", route, body)
		if name := k.Meta().Name; name == "billRun" || name == "controlRun" {
			p.third.settle() // a run of the tenant's own is in the way of his next one
		}
		p.search("POST "+route, answerBytes(got[i]), m.id, m.text, m.digits)
		if got[i].status == http.StatusCreated {
			got[i].body = []byte(plain(string(got[i].body)))
		}
	}
	one, two := without(string(got[0].body), foreign.id, foreign.text), without(string(got[1].body), ghost, words)
	if got[0].status != got[1].status || one != two {
		p.Errorf("POST %s pointing to alpha's: %d %s\npointing to nothing: %d %s", route, got[0].status, one, got[1].status, two)
	}
}

// plain takes out of an answer what is new each time: instants and made ids.
func plain(text string) string {
	text = instants.ReplaceAllString(text, "T")
	return ulids.ReplaceAllString(text, "U")
}

// listener takes events.
type listener struct {
	url string
	mu  sync.Mutex
	got [][]byte
	new chan struct{}
}

func newListener(t *testing.T) *listener {
	l := &listener{new: make(chan struct{}, 1)}
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it is sent again
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.got = append(l.got, body)
		select {
		case l.new <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(srv.Close)
	l.url = srv.URL
	return l
}

// await waits for an event that contains the text.
func (l *listener) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(60 * time.Second)
	for {
		l.mu.Lock()
		found := slices.ContainsFunc(l.got, func(e []byte) bool { return bytes.Contains(e, []byte(text)) })
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-l.new:
		case <-late:
			t.Fatalf("no event with %s came", text)
		}
	}
}

func apis() (out []string) {
	for _, k := range app.Kinds() {
		if base := k.Meta().API.Base; !slices.Contains(out, base) {
			out = append(out, base)
		}
	}
	return out
}

// hubs subscribes to every API.
func (w who) hubs(l *listener, m marks) (hrefs []string) {
	w.Helper()
	for _, base := range apis() {
		hrefs = append(hrefs, w.must(201, w.do("POST", base+"/hub", map[string]any{"callback": l.url + "/" + m.text})).object()["href"].(string))
	}
	return hrefs
}

func (p *prober) listen(l *listener) {
	p.Helper()
	for _, base := range apis() {
		p.must(201, p.ask("POST", base+"/hub", map[string]any{"callback": l.url}))
	}
	for _, q := range []string{"tenant=alpha", "event.tenant=alpha", "eventType.ne=x&tenant=alpha", "event.*.id=x"} {
		if a := p.ask("POST", apis()[0]+"/hub", map[string]any{"callback": l.url, "query": q}); a.status != http.StatusBadRequest {
			p.Errorf("a subscription with the query %s: %d %s", q, a.status, a.body)
		}
	}
}

// probeHubs tries alpha's subscriptions and what could not be delivered to them.
func (p *prober) probeHubs(hrefs []string, m marks) {
	p.Helper()
	for _, href := range hrefs {
		base, id := href[:strings.LastIndexByte(href, '/')+1], href[strings.LastIndexByte(href, '/')+1:]
		err := p.app.DB.Write(p.Context(), store.Scope{Tenant: "alpha", Actor: "test"}, func(tx *store.Tx) error {
			tx.Queue("INSERT INTO tmf_dead_letter (tenant, hub, seq, event, error, attempts, at) VALUES ($1, $2, 7, $3, $4, 1, 1)", id, `{"x":"`+m.text+`"}`, m.text)
			return nil
		})
		if err != nil {
			p.Fatal(err)
		}
		const ghost = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
		at := func(tail string) func(string) string { return func(name string) string { return base + name + tail } }
		p.same("GET", id, ghost, at(""), nothing)
		p.same("GET", id, ghost, at("/deadLetter"), nothing)
		p.same("POST", id, ghost, at("/deadLetter/7/redeliver"), nothing)
		p.same("DELETE", id, ghost, at(""), nothing)
		p.ask("GET", strings.TrimSuffix(base, "/"), nil)
	}
}

// probeFiles tries alpha's exports by route, job and path.
func (p *prober) probeFiles(alpha who, m marks) {
	p.Helper()
	file := m.id + "export.json"
	base := "/tmf-api/productCatalogManagement/v4/"
	alpha.must(201, alpha.do("POST", base+"exportJob", map[string]any{"url": "/transfer/" + file}))
	p.settle()
	if a := alpha.do("GET", "/transfer/"+file, nil); a.status != 200 || !bytes.Contains(a.body, []byte(m.text)) {
		p.Fatalf("alpha's own file: %d %s", a.status, a.body)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "transfer", "alpha", file)); err != nil {
		p.Fatal(err)
	}
	ghost := "zqnothing.json"
	p.same("GET", file, ghost, func(name string) string { return "/transfer/" + name }, nothing)
	for _, path := range []string{"/transfer/../alpha/", "/transfer/alpha/", "/transfer/%2e%2e/alpha/", "/transfer/..%2falpha%2f", "/transfer//alpha/"} {
		p.same("GET", file, ghost, func(name string) string { return path + name }, nothing)
	}
	for _, source := range []string{"/transfer/%s", "/transfer/../alpha/%s"} {
		p.same("POST", file, ghost, func(string) string { return base + "importJob" }, func(name string) any {
			return map[string]any{"url": fmt.Sprintf(source, name)}
		})
	}
	for _, path := range []string{"../alpha/" + file, file, "/" + file, "alpha/" + file} {
		p.ask("POST", base+"importJob", map[string]any{"path": path}, file)
	}
	p.settle()
	p.repeated = append(p.repeated, file)
	jobs := p.do("GET", base+"importJob?limit=1000", nil)
	p.search("jobs", jobs.body, file)
	for _, job := range jobs.list() {
		if u, _ := job["url"].(string); strings.Contains(u, file) && job["status"] != "Failed" {
			p.Errorf("a job took alpha's file: %v", job)
		}
	}
}

// probeAccess looks for alpha's people where users, tokens and the audit are.
func (p *prober) probeAccess(alpha who, m marks) {
	p.Helper()
	alpha.must(201, alpha.do("POST", "/access/v1/users", map[string]any{"id": m.id + "user", "fullName": m.text, "password": "a long enough password", "roles": []string{"reader"}}))
	alpha.must(200, alpha.do("PUT", "/access/v1/roles/"+m.id+"role", map[string]any{"title": m.text, "permissions": []any{map[string]any{"api": "TMF620", "kind": "*", "verbs": []string{"read"}}}}))
	for _, path := range []string{"users", "tokens", "roles", "tenants", "audit", "me", "users?after=", "audit?after=0&limit=1000"} {
		p.ask("GET", "/access/v1/"+path, nil)
	}
	patch := func(string) any { return map[string]any{"fullName": "mine"} }
	for _, c := range []struct{ method, of, tail string }{{"GET", "users/", "user"}, {"PATCH", "users/", "user"}, {"DELETE", "users/", "user"}, {"DELETE", "tokens/", "token"}, {"DELETE", "roles/", "role"}} {
		body := nothing
		if c.method == "PATCH" {
			body = patch
		}
		p.same(c.method, m.id+c.tail, "zqnobody"+c.tail, func(name string) string { return "/access/v1/" + c.of + name }, body)
	}
	for _, c := range []struct {
		method, path string
		body         any
	}{{"PATCH", "/access/v1/tenants/alpha", map[string]any{"name": "x"}}, {"POST", "/access/v1/tenants", map[string]any{"id": "gamma", "name": "x"}}, {"PUT", "/tandem-api/network/v1/element/hlr/grant/beta", map[string]any{"prefix": "26201"}}} {
		if a := p.ask(c.method, c.path, c.body); a.status != http.StatusForbidden {
			p.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
}

// probeStock: that a number or card is taken must be said, since it can be there
// once only; but not by whom, for whom or in which state.
func (p *prober) probeStock(m marks) {
	p.Helper()
	push := func(last string) answer {
		return p.ask("POST", "/tmf-api/resourcePoolManagement/v1/push", map[string]any{"resourcePool": map[string]any{"id": "msisdn"}, "resource": []any{map[string]any{"id": "49" + m.digits + last}}}, "49"+m.digits+last)
	}
	if used, free := push("00"), push("99"); used.status != http.StatusConflict || used.status != free.status || without(string(used.body), "49"+m.digits+"00") != without(string(free.body), "49"+m.digits+"99") {
		p.Errorf("a number in use: %s\na free one: %s", used.body, free.body)
	}
	card := map[string]any{"iccid": "8949" + m.digits + "000001", "imsi": "262" + m.digits + "001", "k": strings.Repeat("00", 16), "opc": strings.Repeat("00", 16)}
	if a := p.ask("POST", "/tandem-api/stock/v1/simCard", map[string]any{"pool": "sim", "cards": []any{card}}, card["iccid"].(string), card["imsi"].(string)); a.status != http.StatusConflict {
		p.Errorf("alpha's card: %d %s", a.status, a.body)
	}
}

// overhear: alpha changes something in every API; once alpha's own subscription
// has heard of it, and beta's of a later change of beta's own, nothing of alpha's
// has come to beta.
func (p *prober) overhear(alpha who, own, spy *listener, m marks) {
	p.Helper()
	for _, w := range []who{alpha, p.who} {
		name := "last-of-" + w.tenantName()
		if w.tenantName() == "alpha" {
			name = m.text + name
		}
		w.must(201, w.do("POST", "/tmf-api/party/v4/organization", map[string]any{"tradingName": name}))
		w.must(201, w.do("POST", "/tmf-api/productCatalogManagement/v4/category", map[string]any{"name": name + "-category"}))
	}
	own.await(p.T, m.text+"last-of-alpha")
	own.await(p.T, m.text+"last-of-alpha-category")
	spy.await(p.T, "last-of-beta")
	spy.await(p.T, "last-of-beta-category")
	spy.mu.Lock()
	defer spy.mu.Unlock()
	for _, e := range spy.got {
		p.search("an event", e, p.repeated...)
	}
}

var (
	instants = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	ulids    = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{26}`)
)
