package activation_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/edge/gsup"
	edge "tandem/edge/hlr"
	"tandem/edge/hlr/hlrtest"
	"tandem/edge/lab"
	"tandem/kit/access"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
	"tandem/oss/activation"
	"tandem/oss/activation/driver"
)

const (
	base = "/tmf-api/ServiceActivationAndConfiguration/v4"
	kHex = "465b5ce8b199b49faa5f0a2ee238a6bc"
	opc  = "cd63cb71954a9f4e48a5994e37a02baf"
)

// desk is a site with the API of its services and a runner for their jobs.
type desk struct {
	*site
	api    *tmftest.API
	runner *work.Runner
}

func openDesk(t *testing.T, db *store.DB, o activation.Options) *desk {
	t.Helper()
	sealer, err := access.NewSealer(bytes.Repeat([]byte{7}, 32))
	must(t, err)
	o.Keys = sealer
	if o.Backoff == nil {
		o.Backoff = func(int) time.Duration { return 10 * time.Millisecond }
	}
	d := &desk{site: open(t, db, o), api: tmftest.Serve(t, db, activation.Kinds())}
	d.runner = work.New(db, quiet(), work.Config{Node: "test"})
	d.a.Handle(d.runner)
	must(t, d.runner.Start(d.ctx))
	t.Cleanup(d.runner.Stop)
	return d
}

func eachDesk(t *testing.T, f func(t *testing.T, d *desk)) {
	tmftest.Each(t, append([]store.Schema{work.Schema()}, activation.Schemas...), activation.Kinds(), func(t *testing.T, db *store.DB) {
		f(t, openDesk(t, db, activation.Options{}))
	})
}

func characteristics(pairs ...string) []any {
	var out []any
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, map[string]any{"name": pairs[i], "value": pairs[i+1]})
	}
	return out
}

func order(n int, more ...string) map[string]any {
	c := []string{"element", "hlr-1", "key", imsi(n), "msisdn", fmt.Sprintf("4479%08d", n), "k", kHex, "opc", opc}
	return map[string]any{"state": "active", "serviceType": "hlrSubscriber", "serviceSpecification": map[string]any{"id": "sim"},
		"serviceCharacteristic": characteristics(append(c, more...)...)}
}

func (d *desk) do(status int, method, path string, body any) tmftest.Answer {
	d.t.Helper()
	a := d.api.Do("host", method, base+"/"+path, body)
	if a.Status != status {
		d.t.Fatalf("%s %s: %d %s, want %d", method, path, a.Status, a.Body, status)
	}
	return a
}

// ends waits until the newest monitor of a service has left InProgress and gives its state and response.
func (d *desk) ends(service string) (state string, response map[string]any) {
	d.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		all := d.do(200, "GET", "monitor?sort=-id&sourceHref="+base+"/service/"+service, nil).List()
		if len(all) > 0 && all[0]["state"] != "InProgress" {
			r, _ := all[0]["response"].(map[string]any)
			return all[0]["state"].(string), r
		}
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			d.t.Fatalf("the monitor does not end: %v", all)
		}
	}
}

func (d *desk) completes(service string) {
	d.t.Helper()
	if state, response := d.ends(service); state != "Completed" || response["statusCode"] != "200" {
		d.t.Fatalf("monitor %s: %v", state, response)
	}
}

func (d *desk) fails(service, status, words string) {
	d.t.Helper()
	state, response := d.ends(service)
	if body, _ := response["body"].(string); state != "InError" || response["statusCode"] != status || !strings.Contains(body, words) {
		d.t.Fatalf("monitor %s: %v, want %s and the words %q", state, response, status, words)
	}
}

func (d *desk) service(id string) map[string]any {
	d.t.Helper()
	return d.do(200, "GET", "service/"+id, nil).Object()
}

func (d *desk) observe(n int) driver.Observed {
	d.t.Helper()
	o, err := d.a.Observe(d.ctx, "host", "hlr-1", driver.HLRSubscriber, imsi(n))
	must(d.t, err)
	return o
}

func TestLifeOfADirectlyActivatedService(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		made := d.do(201, "POST", "service", order(1)).Object()
		id := made["id"].(string)
		entity := made["relatedEntity"].([]any)[0].(map[string]any)
		if made["state"] != "designed" || entity["role"] != "monitor" || made["serviceDate"] == "" {
			t.Errorf("answer to POST: %v", made)
		}
		d.completes(id)
		monitor := d.api.Do("host", "GET", entity["href"].(string), nil).Object()
		if monitor["state"] != "Completed" || monitor["request"].(map[string]any)["method"] != "POST" {
			t.Errorf("monitor %v", monitor)
		}
		if s := d.service(id); s["state"] != "active" || s["isServiceEnabled"] != true || s["startDate"] == nil {
			t.Errorf("after the element's confirmation: %v", s)
		}
		if o := d.observe(1); !o.Present || o.Attributes["msisdn"] != "447900000001" || o.Attributes["cs"] != "true" {
			t.Errorf("on the element: %+v", o)
		}
		if got := d.do(200, "PATCH", "service/"+id, map[string]any{"state": "inactive"}).Object()["state"]; got != "active" {
			t.Errorf("suspended before the element confirmed it: %v", got)
		}
		d.completes(id)
		if s, o := d.service(id), d.observe(1); s["state"] != "inactive" || s["isServiceEnabled"] != false || o.Attributes["cs"] != "false" || o.Attributes["ps"] != "false" {
			t.Errorf("suspended: %v, %+v", s, o)
		}
		d.do(200, "PATCH", "service/"+id, map[string]any{"state": "active",
			"serviceCharacteristic": characteristics("element", "hlr-1", "key", imsi(1), "msisdn", "447900000009", "cs", "false")})
		d.completes(id)
		if o := d.observe(1); o.Attributes["msisdn"] != "447900000009" || o.Attributes["cs"] != "false" || o.Attributes["ps"] != "true" {
			t.Errorf("resumed and changed: %+v", o)
		}
		d.do(204, "DELETE", "service/"+id, nil)
		d.completes(id)
		d.do(404, "GET", "service/"+id, nil)
		if o := d.observe(1); o.Present {
			t.Errorf("deleted, and still on the element: %+v", o)
		}
		d.do(201, "POST", "service", order(1)) // the key is free again
	})
}

func TestATerminatedServiceStaysReadable(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		id := d.do(201, "POST", "service", order(1)).Object()["id"].(string)
		d.completes(id)
		d.do(200, "PATCH", "service/"+id, map[string]any{"state": "terminated"})
		d.completes(id)
		if s := d.service(id); s["state"] != "terminated" || s["endDate"] == nil || d.observe(1).Present {
			t.Errorf("terminated: %v", s)
		}
		d.do(409, "PATCH", "service/"+id, map[string]any{"state": "active"})
		d.do(204, "DELETE", "service/"+id, nil)
		d.do(404, "GET", "service/"+id, nil)
	})
}

// A service may be planned first; nothing reaches an element before it is to run.
func TestAPlannedService(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		planned := map[string]any{"state": "reserved", "serviceSpecification": map[string]any{"id": "sim"}, "name": "later"}
		id := d.do(201, "POST", "service", planned).Object()["id"].(string)
		if all := d.do(200, "GET", "monitor", nil).List(); len(all) != 0 {
			t.Errorf("monitors %v", all)
		}
		full := order(1)
		d.do(400, "PATCH", "service/"+id, map[string]any{"state": "active"})
		d.do(200, "PATCH", "service/"+id, full)
		d.completes(id)
		if d.service(id)["state"] != "active" || !d.observe(1).Present {
			t.Error("it is not active")
		}
		d.do(409, "PATCH", "service/"+id, map[string]any{"state": "reserved"})
		other := d.do(201, "POST", "service", planned).Object()["id"].(string)
		d.do(204, "DELETE", "service/"+other, nil)
		d.do(404, "GET", "service/"+other, nil)
	})
}

func TestWhatIsRefused(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		id := d.do(201, "POST", "service", order(1)).Object()["id"].(string)
		d.completes(id)
		with := func(name string, value any) map[string]any {
			o := order(2)
			o[name] = value
			return o
		}
		for rule, c := range map[string]struct {
			status int
			body   any
			words  string
		}{
			"another service has it":   {409, order(1), id},
			"no element of that name":  {400, with("serviceCharacteristic", characteristics("element", "hlr-9", "key", imsi(2))), "unknownElement"},
			"no key":                   {400, with("serviceCharacteristic", characteristics("element", "hlr-1")), "IMSI"},
			"no element":               {400, with("serviceCharacteristic", characteristics("key", imsi(2))), "elementMissing"},
			"unknown characteristic":   {400, order(2, "colour", "red"), "colour"},
			"unknown type":             {400, with("serviceType", "toaster"), "hlrSubscriber"},
			"begins terminated":        {400, with("state", "terminated"), "illegalState"},
			"no specification":         {400, with("serviceSpecification", nil), "serviceSpecification"},
			"secrets before it runs":   {400, with("state", "reserved"), "secretsTooEarly"},
			"a state that is no state": {400, with("state", "flying"), "state"},
		} {
			a := d.api.Do("host", "POST", base+"/service", c.body)
			if a.Status != c.status || !strings.Contains(string(a.Body), c.words) || strings.Contains(string(a.Body), kHex) {
				t.Errorf("%s: %d %s", rule, a.Status, a.Body)
			}
		}
		d.do(409, "PATCH", "service/"+id, map[string]any{"serviceCharacteristic": characteristics("element", "hlr-1", "key", imsi(5))})
		d.do(405, "POST", "monitor", map[string]any{"state": "Completed"})
		d.do(405, "DELETE", "monitor/x", nil)
		if all := d.do(200, "GET", "service", nil).List(); len(all) != 1 {
			t.Errorf("%d services", len(all))
		}
	})
}

func TestABrandKeepsToItsKeys(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		d.write("host", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-1", "brand", "24001000000001") })
		if a := d.api.Do("brand", "POST", base+"/service", order(1)); a.Status != 403 {
			t.Errorf("another's key: %d %s", a.Status, a.Body)
		}
		if a := d.api.Do("brand", "POST", base+"/service", order(11)); a.Status != 201 {
			t.Errorf("its own key: %d %s", a.Status, a.Body)
		}
		if a := d.api.Do("host", "POST", base+"/service", order(11)); a.Status != 409 {
			t.Errorf("the brand has it: %d %s", a.Status, a.Body)
		}
	})
}

// What the element refuses for good ends the monitor; when the cause is gone, asking again works.
func TestAConflict(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctrl, err := edge.Dial(d.ctx, d.reg.Addr())
		must(t, err)
		defer ctrl.Close()
		_, err = ctrl.Create(d.ctx, imsi(99))
		must(t, err)
		must(t, ctrl.SetMSISDN(d.ctx, imsi(99), "447900000001"))
		id := d.do(201, "POST", "service", order(1)).Object()["id"].(string)
		d.fails(id, "409", "MSISDN 447900000001 is in use by another subscriber on the element")
		if s := d.service(id); s["state"] != "designed" {
			t.Errorf("the element refused it, and it is %v", s["state"])
		}
		must(t, ctrl.SetMSISDN(d.ctx, imsi(99), ""))
		d.do(200, "PATCH", "service/"+id, map[string]any{"state": "active"})
		d.completes(id)
		if s := d.service(id); s["state"] != "active" {
			t.Errorf("it is %v", s["state"])
		}
		first := d.do(200, "GET", "monitor?sort=id", nil).List()[0]
		if first["state"] != "InError" {
			t.Errorf("the first request is %v", first["state"])
		}
	})
}

// An element that is away is tried again until it is back; the service does not look active meanwhile.
func TestAnElementThatIsAway(t *testing.T) {
	tmftest.Each(t, append([]store.Schema{work.Schema()}, activation.Schemas...), activation.Kinds(), func(t *testing.T, db *store.DB) {
		d := openDesk(t, db, activation.Options{Attempts: 1000, Threshold: 1000})
		must(t, d.reg.Close())
		id := d.do(201, "POST", "service", order(1)).Object()["id"].(string)
		for d.a.Counters() == nil || d.a.Counters()[0].Failed[driver.Transient] < 3 {
			must(t, d.ctx.Err())
		}
		if s := d.service(id); s["state"] != "designed" {
			t.Errorf("the element is away, and it is %v", s["state"])
		}
		d.start()
		d.completes(id)
		if s := d.service(id); s["state"] != "active" {
			t.Errorf("it is %v", s["state"])
		}
	})
}

func TestAnElementThatStaysAway(t *testing.T) {
	tmftest.Each(t, append([]store.Schema{work.Schema()}, activation.Schemas...), activation.Kinds(), func(t *testing.T, db *store.DB) {
		d := openDesk(t, db, activation.Options{Attempts: 3, Threshold: 1000})
		must(t, d.reg.Close())
		id := d.do(201, "POST", "service", order(1)).Object()["id"].(string)
		d.fails(id, "503", "cannot be reached")
		must(t, d.runner.Idle(d.ctx))
		must(t, db.Read(d.ctx, store.Scope{Tenant: "host", Actor: "test"}, func(tx *store.Tx) error {
			parked, err := work.ListParked(tx, "", 0, 10)
			if len(parked) != 1 || parked[0].Key != id || strings.Contains(fmt.Sprintf("%+v", parked), kHex) {
				t.Errorf("parked: %+v", parked)
			}
			return err
		}))
		d.start()
		d.write("host", func(tx *store.Tx) error { return work.Release(tx, "activation.activate", id) })
		for d.service(id)["state"] != "active" {
			must(t, d.ctx.Err())
		}
	})
}

// Requests that come while the element is busy with an earlier one: the last word counts.
func TestTheLastWordCounts(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		release, reached := make(chan struct{}), make(chan struct{}, 1000)
		d.reg.SetFaults(func(edge.Command) lab.Fault {
			reached <- struct{}{}
			return lab.Fault{Action: lab.LateReply, Until: release}
		})
		id := d.do(201, "POST", "service", order(1)).Object()["id"].(string)
		<-reached
		for n := range 5 {
			d.do(200, "PATCH", "service/"+id, map[string]any{
				"serviceCharacteristic": characteristics("element", "hlr-1", "key", imsi(1), "msisdn", fmt.Sprintf("44790000010%d", n))})
		}
		d.do(200, "PATCH", "service/"+id, map[string]any{"state": "inactive"})
		d.reg.SetFaults(nil)
		close(release)
		d.completes(id)
		must(t, d.runner.Idle(d.ctx))
		if s, o := d.service(id), d.observe(1); s["state"] != "inactive" || o.Attributes["msisdn"] != "447900000104" || o.Attributes["ps"] != "false" {
			t.Errorf("%v, %+v", s, o)
		}
		for _, m := range d.do(200, "GET", "monitor", nil).List() {
			if m["state"] != "Completed" {
				t.Errorf("monitor %v", m)
			}
		}
	})
}

// A run that ends after a newer request was made confirms what it did, and not what it has not done yet.
func TestAnOlderRunDoesNotConfirmANewerRequest(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		e := d.element()
		e.VTY = "" // so that the suspension goes over the control interface too
		d.save(e)
		one, two := make(chan struct{}), make(chan struct{})
		created, suspended := make(chan struct{}, 10), make(chan struct{}, 10)
		d.reg.SetFaults(func(c edge.Command) lab.Fault {
			switch {
			case c.Var == "subscriber.create":
				created <- struct{}{}
				return lab.Fault{Action: lab.LateReply, Until: one}
			case strings.HasSuffix(c.Var, ".cs-enabled") && c.Value == "0":
				suspended <- struct{}{}
				return lab.Fault{Action: lab.LateReply, Until: two}
			}
			return lab.Fault{}
		})
		id := d.do(201, "POST", "service", order(1)).Object()["id"].(string)
		<-created
		d.do(200, "PATCH", "service/"+id, map[string]any{"state": "inactive"})
		close(one)
		<-suspended
		monitors := d.do(200, "GET", "monitor?sort=id", nil).List()
		if s := d.service(id); s["state"] != "designed" || monitors[0]["state"] != "Completed" || monitors[1]["state"] != "InProgress" {
			t.Errorf("the service is %v, the monitors %v and %v", s["state"], monitors[0]["state"], monitors[1]["state"])
		}
		close(two)
		d.completes(id)
		if s := d.service(id); s["state"] != "inactive" {
			t.Errorf("it is %v", s["state"])
		}
	})
}

// The process dies between the element and the outcome: the next one finds the element as it is and writes the outcome.
func TestACrashBeforeTheOutcome(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			schemas := append([]store.Schema{tmf.Schema(), work.Schema()}, activation.Schemas...)
			cfg := storetest.Config(t, engine)
			db := storetest.OpenConfig(t, cfg, schemas...)
			must(t, tmf.Migrate(t.Context(), db, activation.Kinds()))
			d := openDesk(t, db, activation.Options{})
			d.runner.Stop() // the first process ran no job any more, but had been to the element
			id := d.do(201, "POST", "service", order(1)).Object()["id"].(string)
			_, err := d.a.Ensure(d.ctx, "host", "hlr-1", sim(1))
			must(t, err)
			must(t, d.a.Close())
			second := openDesk(t, db, activation.Options{})
			second.save(d.element())
			second.completes(id)
			if s, o := second.service(id), second.observe(1); s["state"] != "active" || o.Attributes["msisdn"] != "447900000001" {
				t.Errorf("%v, %+v", s, o)
			}
		})
	}
}

// Keys go sealed into one place and come out on the element only.
func TestSecretsAreNowhere(t *testing.T) {
	dir := t.TempDir()
	cfg := store.Config{Path: filepath.Join(dir, "tandem.db")}
	db := storetest.OpenConfig(t, cfg, append([]store.Schema{tmf.Schema(), work.Schema()}, activation.Schemas...)...)
	must(t, tmf.Migrate(t.Context(), db, activation.Kinds()))
	d := openDesk(t, db, activation.Options{})
	var said bytes.Buffer
	hear := func(a tmftest.Answer) tmftest.Answer { said.Write(a.Body); return a }
	id := hear(d.do(201, "POST", "service", order(1))).Object()["id"].(string)
	d.completes(id)
	other := strings.Replace(kHex, "4", "5", 1)
	change := order(1, "cs", "false")
	c := change["serviceCharacteristic"].([]any)
	c[3].(map[string]any)["value"] = other
	hear(d.do(200, "PATCH", "service/"+id, change))
	d.completes(id)
	ctrl, err := edge.Dial(d.ctx, d.reg.Addr())
	must(t, err)
	defer ctrl.Close()
	auth, err := ctrl.AuthInfo(d.ctx, imsi(1))
	must(t, err)
	if auth.K.Hex() != other || auth.OPc.Hex() != opc {
		t.Fatal("the element has other keys, so this proves nothing")
	}
	bad := order(2)
	bad["serviceCharacteristic"].([]any)[3].(map[string]any)["value"] = kHex + "00"
	failing := hear(d.do(201, "POST", "service", bad)).Object()["id"].(string)
	d.fails(failing, "422", "not usable")
	must(t, d.runner.Idle(d.ctx))
	for _, path := range []string{"service", "monitor"} {
		hear(d.do(200, "GET", path, nil))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		said.Write(b)
	}
	if !bytes.Contains(said.Bytes(), []byte("447900000001")) {
		t.Fatal("the number is not in the files either, so this proves nothing")
	}
	for _, secret := range []string{kHex, other, opc, kHex[:16]} {
		if bytes.Contains(bytes.ToLower(said.Bytes()), []byte(secret)) {
			t.Errorf("%s... is in the clear somewhere", secret[:4])
		}
	}
}

func TestWithoutASealingKeyThereAreNoSecrets(t *testing.T) {
	db := storetest.Open(t, store.SQLite, append([]store.Schema{tmf.Schema(), work.Schema()}, activation.Schemas...)...)
	must(t, tmf.Migrate(t.Context(), db, activation.Kinds()))
	open(t, db, activation.Options{})
	api := tmftest.Serve(t, db, activation.Kinds())
	if a := api.Do("host", "POST", base+"/service", order(1)); a.Status != 503 || !strings.Contains(string(a.Body), "noSealingKey") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestAuditOfDirectlyActivatedServices(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		for n := range 3 {
			d.completes(d.do(201, "POST", "service", order(n)).Object()["id"].(string))
		}
		id := d.do(200, "GET", "service", nil).List()[1]["id"].(string)
		d.do(200, "PATCH", "service/"+id, map[string]any{"state": "inactive"})
		d.completes(id)
		audit := func() []activation.Drift {
			drift, err := d.a.Audit(d.ctx, "host", "hlr-1", driver.HLRSubscriber, activation.ExpectedServices(d.ctx, d.db, "host", "hlr-1"))
			must(t, err)
			return drift
		}
		if drift := audit(); len(drift) != 0 {
			t.Errorf("drift %v", drift)
		}
		ctrl, err := edge.Dial(d.ctx, d.reg.Addr())
		must(t, err)
		defer ctrl.Close()
		must(t, ctrl.SetMSISDN(d.ctx, imsi(0), "447911111111"))
		if got := fmt.Sprint(audit()); got != "[{"+imsi(0)+" different msisdn 447900000000 447911111111}]" {
			t.Errorf("drift %s", got)
		}
	})
}

// Ended monitors go when they are old; one under way stays.
func TestOldMonitorsArePruned(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		id := d.do(201, "POST", "service", order(1)).Object()["id"].(string)
		d.completes(id)
		const old = "01J00000000000000000000000" // of 2024
		d.write("host", func(tx *store.Tx) error {
			for i, state := range []string{"Completed", "InProgress"} {
				m := &activation.Monitor{State: "InProgress"}
				m.ID = old[:25] + fmt.Sprint(i)
				if err := activation.Monitors.Create(tx, m); err != nil {
					return err
				}
				if _, err := activation.Monitors.Edit(tx, m.ID, func(m *activation.Monitor) error { m.State = state; return nil }); err != nil {
					return err
				}
			}
			return work.Enqueue(tx, "activation.prune", "monitor", struct{}{}, time.Time{})
		})
		must(t, d.runner.Idle(d.ctx))
		var left []string
		for _, m := range d.do(200, "GET", "monitor?sort=id", nil).List() {
			left = append(left, m["id"].(string))
		}
		if len(left) != 2 || left[0] != old[:25]+"1" {
			t.Errorf("left are %v", left)
		}
	})
}

// From the API to a phone on the real register.
func TestARealPhone(t *testing.T) {
	tmftest.Each(t, append([]store.Schema{work.Schema()}, activation.Schemas...), activation.Kinds(), func(t *testing.T, db *store.DB) {
		d := openDesk(t, db, activation.Options{})
		real := hlrtest.Start(t)
		e := d.element()
		e.Address, e.VTY = real.CTRL(), real.VTY()
		d.save(e)
		sgsn, err := gsup.Dial(d.ctx, real.GSUP(), "SGSN-1")
		must(t, err)
		defer sgsn.Close()
		if _, err := sgsn.Attach(d.ctx, imsi(1), gsup.PS); err == nil {
			t.Fatal("the phone attaches before it is activated")
		}
		id := d.do(201, "POST", "service", order(1)).Object()["id"].(string)
		d.completes(id)
		msisdn, err := sgsn.Attach(d.ctx, imsi(1), gsup.PS)
		if err != nil || msisdn != "447900000001" {
			t.Fatalf("attach: %q, %v", msisdn, err)
		}
		d.do(200, "PATCH", "service/"+id, map[string]any{"state": "inactive"})
		d.completes(id)
		select {
		case p := <-sgsn.Pushes():
			if p.Kind != gsup.DeleteSubscriberData || p.IMSI != imsi(1) {
				t.Errorf("pushed %+v", p)
			}
		case <-d.ctx.Done():
			t.Fatal("the serving node is not told of the suspension")
		}
		if _, err := sgsn.Attach(d.ctx, imsi(1), gsup.PS); err == nil {
			t.Error("the suspended phone attaches")
		}
	})
}
