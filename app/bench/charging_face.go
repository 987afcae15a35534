package bench

import (
	"context"
	"fmt"
	"time"

	"tandem/app"
	"tandem/edge/credit"
	"tandem/edge/diameter"
	"tandem/edge/nchf"
	"tandem/edge/radius"
)

// listen says which face the node opens for the benchmark.
func (o *ChargingOptions) listen() app.Faces {
	switch o.Face {
	case "nchf":
		return app.Faces{Nchf: &app.NchfFace{Listen: "127.0.0.1:0"}}
	case "radius":
		return app.Faces{RADIUS: &app.RADIUSFace{Accounting: []string{"127.0.0.1:0"}, Gateways: []app.RADIUSNAS{{Name: "bng", Address: "127.0.0.1", Secret: nasSecret}}}}
	case "diameter":
		return app.Faces{Diameter: &app.DiameterFace{Listen: "127.0.0.1:0", Host: charger, Realm: realm, Peers: []app.DiameterPeer{{Host: gateway}}}}
	}
	return app.Faces{}
}

// connect connects to what is measured.
func (r *chargingRig) connect(ctx context.Context) error {
	switch r.o.Face {
	case "direct":
		r.charge = r.Charging.Engine
		return nil
	case "diameter":
		var all several
		for range 8 {
			c, err := diameter.Dial(ctx, r.DiameterAddr(), diameter.ClientConfig{Host: gateway, Realm: realm, ToRealm: realm, Window: max(r.o.Callers/8, 1)})
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		r.charge = all
		return nil
	case "nchf":
		var all several
		for range 4 {
			c, err := nchf.Dial(ctx, r.NchfAddr(), nchf.ClientConfig{Consumer: "smf-bench", Window: max(r.o.Callers/4, 1)})
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		r.charge = all
		return nil
	case "radius":
		c, err := radius.Dial(r.RADIUSAddr(), radius.ClientConfig{Secret: radius.Key(nasSecret), Ports: max(r.o.Callers/128, 1)})
		r.charge = accounting{c}
		return err
	}
	return fmt.Errorf("no face is called %q; there are %v", r.o.Face, Faces)
}

const nasSecret = "a secret of this benchmark only"

// several are connections; a session stays on one.
type several []credit.Charger

func (s several) Charge(c *credit.Call) { s[c.Own.(*caller).worker%len(s)].Charge(c) }

// accounting sends what a call says as a gateway would: counters since the session
// began.
type accounting struct{ *radius.Client }

func (a accounting) Charge(call *credit.Call) {
	c, number := call.Own.(*caller), call.Request.Number
	rec := radius.Record{Phase: radius.Interim, User: "+" + string(c.msisdn), Session: string(c.name), Seconds: number * 60, Input: uint64(number) * mib, At: time.Now().Unix()}
	switch call.Request.Kind {
	case credit.Initial:
		rec.Phase = radius.Start
	case credit.Terminate:
		rec.Phase = radius.Stop
	}
	err := a.Send(radius.AccountingRequest, rec.Append, func(_ radius.Packet, err error) {
		call.Answer.Reset()
		if err != nil {
			call.Answer.Result = credit.Failed
		}
		call.Done(call)
	})
	if err != nil {
		call.Answer.Reset()
		call.Answer.Result = credit.Failed
		call.Done(call)
	}
}
