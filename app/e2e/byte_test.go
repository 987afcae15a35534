package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"testing"
	"time"

	"tandem/app"
	"tandem/app/mobile"
	"tandem/bss/subscription"
	"tandem/edge/credit"
	"tandem/edge/diameter"
	"tandem/edge/hlr/hlrtest"
	"tandem/edge/nchf"
	"tandem/kit/store"
)

const (
	gateway = "pgw.northwind.example"
	charger = "ocs.northwind.example"
	realm   = "northwind.example"
)

// online is an operator whose gateway asks over Gy.
func online(t *testing.T, engine store.Dialect) (*operator, *diameter.Client) {
	t.Helper()
	e := hlrtest.Start(t)
	c := config(t, engine)
	c.Faces = app.Faces{Diameter: &app.DiameterFace{Listen: "127.0.0.1:0", Host: charger, Realm: realm, Peers: []app.DiameterPeer{{Host: gateway}}},
		Nchf: &app.NchfFace{Listen: "127.0.0.1:0"}}
	o := start(t, c, e)
	o.seed(e.CTRL(), e.VTY(), stock)
	return o, o.gateway()
}

func (o *operator) gateway() *diameter.Client {
	o.t.Helper()
	c, err := diameter.Dial(o.t.Context(), o.DiameterAddr(), diameter.ClientConfig{Host: gateway, Realm: realm, ToRealm: realm})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// core5G is a client as the session management of a 5G core is one.
func (o *operator) core5G() *nchf.Client {
	o.t.Helper()
	c, err := nchf.Dial(o.t.Context(), o.NchfAddr(), nchf.ClientConfig{Consumer: "smf.northwind.example"})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// session is a data session as a gateway has it.
type session struct {
	o      *operator
	g      credit.Charger
	name   string
	msisdn string
	number uint32
	plmn   uint32 // of the network that serves it; 0: the home network
}

// says sends a request of the session: what was used of the group, and whether more
// is asked for.
func (s *session) says(kind credit.Kind, group uint32, used uint64) (credit.Result, credit.Granted) {
	s.o.t.Helper()
	call := &credit.Call{}
	r := &call.Request
	*r = credit.Request{Kind: kind, Service: credit.Data, Numbered: true, Number: s.number, Session: []byte(s.name), PLMN: cmp.Or(s.plmn, 240001),
		Context: []byte("32251@3gpp.org"), Subscribers: []credit.Subscriber{{Type: credit.E164, ID: []byte(s.msisdn)}}}
	u := r.AddUnit()
	u.HasGroup, u.Group, u.Asked = true, group, kind != credit.Terminate
	if kind != credit.Initial {
		u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: used}})
	}
	s.number++
	credit.Do(s.g, call)
	if len(call.Answer.Units) == 0 {
		return call.Answer.Result, credit.Granted{}
	}
	return call.Answer.Result, call.Answer.Units[0]
}

// sold orders a line and waits until charging knows it.
func (o *operator) sold(offering string) *subscription.Product {
	o.t.Helper()
	p := o.through(add(offering))
	o.await("charging to know the line", func() bool {
		return o.count("SELECT count(*) FROM charging_line WHERE tenant = $1 AND product = $2 AND subscriber > 0", brand, p.ID) == 1
	})
	return p
}

// The path of a byte: a line is sold, its gateway reports octets over Gy, a 5G core over Nchf, the
// allowance pays, the record can be read, and the line that is suspended gets none.
func TestPathOfAByte(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			o, g := online(t, engine)
			p := o.sold(mobile.FlatM)
			used := int64(0)
			for face, client := range map[string]credit.Charger{"Gy": g, "Nchf": o.core5G()} {
				used += o.downloads(face, client, char(p, "msisdn"))
				o.await("the usage record of "+face, func() bool {
					return o.count("SELECT coalesce(sum(octets), 0) FROM charging_usage WHERE tenant = $1", brand) == used
				})
			}
			if n := o.count("SELECT -sum(amount) FROM charging_entry WHERE tenant = $1 AND against = 'usage'", brand); n != used {
				t.Errorf("%d octets were taken from buckets, %d were used", n, used)
			}
			o.through(modify(p.ID, subscription.Suspended))
			next := &session{o: o, g: g, name: gateway + ";1;2", msisdn: char(p, "msisdn")}
			o.await("the bar", func() bool {
				next.name, next.number = fmt.Sprintf("%s;1;%d", gateway, time.Now().UnixNano()), 0
				res, _ := next.says(credit.Initial, 10, 0)
				return res == credit.Denied
			})
		})
	}
}

// downloads is a session of 35 MiB in four reports, each update said twice.
func (o *operator) downloads(face string, client credit.Charger, msisdn string) (used int64) {
	o.t.Helper()
	s := &session{o: o, g: client, name: gateway + ";" + face, msisdn: msisdn}
	if res, u := s.says(credit.Initial, 10, 0); res != credit.Success || u.Grant.Total != 10<<20 {
		o.t.Fatalf("%s: the first grant: %v, %+v", face, res, u)
	}
	for range 3 {
		if res, u := s.says(credit.Update, 10, 10<<20); res != credit.Success || u.Grant.Total != 10<<20 {
			o.t.Fatalf("%s: %v, %+v", face, res, u)
		}
		s.number--
		if res, u := s.says(credit.Update, 10, 10<<20); res != credit.Success || u.Grant.Total != 10<<20 {
			o.t.Fatalf("%s, said again: %v, %+v", face, res, u)
		}
	}
	if res, _ := s.says(credit.Terminate, 10, 5<<20); res != credit.Success {
		o.t.Fatalf("%s: the end: %v", face, res)
	}
	return 35 << 20
}
