package diameter

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fiorix/go-diameter/v4/diam"
	avpcode "github.com/fiorix/go-diameter/v4/diam/avp"
	"github.com/fiorix/go-diameter/v4/diam/datatype"
	"github.com/fiorix/go-diameter/v4/diam/dict"
	"github.com/fiorix/go-diameter/v4/diam/sm"

	"tandem/edge/credit"
)

// modernAVPs are of RFC 8506, which the library does not know.
const modernAVPs = `<?xml version="1.0" encoding="UTF-8"?>
<diameter><application id="4" type="auth" name="Credit Control of RFC 8506">
<avp name="User-Equipment-Info-Extension" code="653"><data type="Grouped"><rule avp="User-Equipment-Info-IMEI" required="false" max="1"/></data></avp>
<avp name="User-Equipment-Info-IMEI" code="658"><data type="OctetString"/></avp>
<avp name="Subscription-Id-Extension" code="659"><data type="Grouped"><rule avp="Subscription-Id-E164" required="false" max="1"/></data></avp>
<avp name="Subscription-Id-E164" code="660"><data type="UTF8String"/></avp>
<avp name="Redirect-Server-Extension" code="665"><data type="Grouped"><rule avp="Redirect-Address-URL" required="false" max="1"/></data></avp>
<avp name="Redirect-Address-IPAddress" code="666"><data type="Address"/></avp>
<avp name="Redirect-Address-URL" code="667"><data type="UTF8String"/></avp>
<avp name="QoS-Final-Unit-Indication" code="669"><data type="Grouped"><rule avp="Final-Unit-Action" required="true" max="1"/></data></avp>
</application></diameter>`

// stranger is a gateway built on another implementation of Diameter.
type stranger struct {
	t       *testing.T
	conn    diam.Conn
	book    *dict.Parser
	answers chan *diam.Message
	asked   chan *diam.Message
	number  uint32
}

func newStranger(t *testing.T, addr string) *stranger {
	t.Helper()
	book := dict.Default
	if err := book.Load(strings.NewReader(modernAVPs)); err != nil {
		t.Fatal(err)
	}
	machine := sm.New(&sm.Settings{OriginHost: pgwHost, OriginRealm: pgwRealm, VendorID: 10415, ProductName: "stranger",
		OriginStateID: 1, HostIPAddresses: []datatype.Address{datatype.Address(net.IPv4(127, 0, 0, 1))}})
	s := &stranger{t: t, book: book, answers: make(chan *diam.Message, 8), asked: make(chan *diam.Message, 8)}
	machine.Handle("CCA", diam.HandlerFunc(func(_ diam.Conn, m *diam.Message) { s.answers <- m }))
	machine.Handle("ACA", diam.HandlerFunc(func(_ diam.Conn, m *diam.Message) { s.answers <- m }))
	machine.HandleFunc("RAR", func(c diam.Conn, m *diam.Message) {
		s.asked <- m
		a := m.Answer(diam.LimitedSuccess)
		if id, err := m.FindAVP(avpcode.SessionID, 0); err == nil {
			a.InsertAVP(id)
		}
		a.NewAVP(avpcode.OriginHost, avpcode.Mbit, 0, datatype.DiameterIdentity(pgwHost))
		a.NewAVP(avpcode.OriginRealm, avpcode.Mbit, 0, datatype.DiameterIdentity(pgwRealm))
		a.WriteTo(c)
	})
	client := &sm.Client{Dict: book, Handler: machine, EnableWatchdog: true, WatchdogInterval: 100 * time.Millisecond,
		AcctApplicationID: []*diam.AVP{diam.NewAVP(avpcode.AcctApplicationID, avpcode.Mbit, 0, datatype.Unsigned32(3))},
		AuthApplicationID: []*diam.AVP{diam.NewAVP(avpcode.AuthApplicationID, avpcode.Mbit, 0, datatype.Unsigned32(4))}}
	conn, err := client.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	s.conn = conn
	go func() {
		for {
			select {
			case e := <-machine.ErrorReports():
				t.Errorf("the other implementation: %v", e)
			case <-t.Context().Done():
				return
			}
		}
	}()
	return s
}

func groupedAVP(avps ...*diam.AVP) *diam.GroupedAVP { return &diam.GroupedAVP{AVP: avps} }

func must(code uint32, v datatype.Type) *diam.AVP { return diam.NewAVP(code, avpcode.Mbit, 0, v) }

func gpp(code uint32, v datatype.Type) *diam.AVP { return diam.NewAVP(code, avpcode.Vbit, 10415, v) }

// ccr sends a request and waits for its answer.
func (s *stranger) ccr(kind int, more ...*diam.AVP) *diam.Message {
	s.t.Helper()
	m := diam.NewRequest(diam.CreditControl, 4, s.book)
	for _, a := range append([]*diam.AVP{
		must(avpcode.SessionID, datatype.UTF8String("pgw.core.test;1;2")),
		must(avpcode.OriginHost, datatype.DiameterIdentity(pgwHost)),
		must(avpcode.OriginRealm, datatype.DiameterIdentity(pgwRealm)),
		must(avpcode.DestinationRealm, datatype.DiameterIdentity(ocsRealm)),
		must(avpcode.AuthApplicationID, datatype.Unsigned32(4)),
		must(avpcode.ServiceContextID, datatype.UTF8String("13.32251@3gpp.org")),
		must(avpcode.CCRequestType, datatype.Enumerated(kind)),
		must(avpcode.CCRequestNumber, datatype.Unsigned32(s.number)),
		must(avpcode.EventTimestamp, datatype.Time(time.Unix(1790000000, 0))),
		must(avpcode.SubscriptionID, groupedAVP(must(avpcode.SubscriptionIDType, datatype.Enumerated(1)), must(avpcode.SubscriptionIDData, datatype.UTF8String("242010000000001")))),
	}, more...) {
		m.AddAVP(a)
	}
	s.number++
	if _, err := m.WriteTo(s.conn); err != nil {
		s.t.Fatal(err)
	}
	return s.answer(s.answers)
}

func (s *stranger) answer(from chan *diam.Message) *diam.Message {
	s.t.Helper()
	select {
	case m := <-from:
		return m
	case <-time.After(10 * time.Second):
		s.t.Fatal("no message")
		return nil
	}
}

// path returns the value of the first AVP down a path of names.
func path[T datatype.Type](s *stranger, m *diam.Message, vendor uint32, names ...any) T {
	s.t.Helper()
	var v T
	found, err := m.FindAVPsWithPath(names, vendor)
	if err != nil || len(found) == 0 {
		s.t.Errorf("%v: %d found, %v, in %s", names, len(found), err, m)
		return v
	}
	v, ok := found[0].Data.(T)
	if !ok {
		s.t.Errorf("%v is a %T", names, found[0].Data)
	}
	return v
}

func service(rg uint32, avps ...*diam.AVP) *diam.AVP {
	return must(avpcode.MultipleServicesCreditControl, groupedAVP(append(avps, must(avpcode.RatingGroup, datatype.Unsigned32(rg)))...))
}

func wants(n uint64) *diam.AVP {
	g := groupedAVP()
	if n > 0 {
		g.AddAVP(must(avpcode.CCTotalOctets, datatype.Unsigned64(n)))
	}
	return must(avpcode.RequestedServiceUnit, g)
}

func uses(n uint64, side int) *diam.AVP {
	return must(avpcode.UsedServiceUnit, groupedAVP(must(avpcode.TariffChangeUsage, datatype.Enumerated(side)), must(avpcode.CCTotalOctets, datatype.Unsigned64(n))))
}

// A session of another implementation: two services of which one is denied, a tariff change in the report, the bearer, an answer with
// everything the library has a name for, a re-authorisation, and the end.
func TestForeignClient(t *testing.T) {
	k := newTill(t, 5000)
	k.final = credit.FinalUnit{Action: credit.FinalRedirect, Type: credit.URL, Address: "https://top.up/"}
	s, addr := serve(t, k, nil)
	g := newStranger(t, addr)
	info := gpp(avpcode.ServiceInformation, groupedAVP(gpp(avpcode.PSInformation, groupedAVP(
		gpp(avpcode.TGPPChargingID, datatype.OctetString("\x01\x02\x03\x04")),
		gpp(avpcode.PDPAddress, datatype.Address(net.IPv4(10, 46, 0, 9))),
		gpp(avpcode.GGSNAddress, datatype.Address(net.IPv4(10, 99, 0, 1))),
		must(avpcode.CalledStationID, datatype.UTF8String("internet")),
		gpp(avpcode.TGPPSGSNMCCMNC, datatype.UTF8String("310410")),
		gpp(avpcode.TGPPRATType, datatype.OctetString("\x06")),
		gpp(avpcode.TGPPMSTimeZone, datatype.OctetString("\x80\x01")),
		gpp(avpcode.TGPPUserLocationInfo, datatype.OctetString("\x82\x13\x00\x14\x00\x01\x13\x00\x14\x00\x01\x02\x03")),
	))))
	m := g.ccr(1, must(avpcode.MultipleServicesIndicator, datatype.Enumerated(1)), service(10, wants(0)), service(66, wants(100)), info)
	if path[datatype.Unsigned32](g, m, 0, "Result-Code") != 2001 || m.Header.CommandFlags&diam.RequestFlag != 0 {
		t.Errorf("%s", m)
	}
	services, err := m.FindAVPs("Multiple-Services-Credit-Control", 0)
	if err != nil || len(services) != 2 {
		t.Fatalf("%d services, %v", len(services), err)
	}
	codes, err := m.FindAVPsWithPath([]any{"Multiple-Services-Credit-Control", "Result-Code"}, 0)
	if err != nil || len(codes) != 2 || codes[0].Data != datatype.Unsigned32(2001) || codes[1].Data != datatype.Unsigned32(4010) {
		t.Errorf("codes of the services: %v %v", codes, err)
	}
	if n := path[datatype.Unsigned64](g, m, 0, "Multiple-Services-Credit-Control", "Granted-Service-Unit", "CC-Total-Octets"); n != 1000 {
		t.Errorf("granted %d", n)
	}
	if v := path[datatype.Enumerated](g, m, 0, "Credit-Control-Failure-Handling"); v != 2 {
		t.Errorf("failure handling %d", v)
	}
	q := k.seen[0]
	if q.PLMN != 310410 || q.RAT != 6 || q.Zone != 120 || q.At != 1790000000_000000 || q.Number != 0 || len(q.Units) != 2 {
		t.Errorf("read as %+v", q)
	}

	outcome := make(chan credit.Outcome, 1)
	s.Reauthorise([]byte(pgwHost), []byte("pgw.core.test;1;2"), []byte(pgwRealm), []uint32{10}, func(o credit.Outcome) { outcome <- o })
	rar := g.answer(g.asked)
	if path[datatype.UTF8String](g, rar, 0, "Session-Id") != "pgw.core.test;1;2" || path[datatype.Enumerated](g, rar, 0, "Re-Auth-Request-Type") != 0 {
		t.Errorf("%s", rar)
	}
	if o := <-outcome; o != credit.Accepted {
		t.Errorf("outcome %d", o)
	}

	m = g.ccr(2, service(10, uses(300, 0), uses(200, 1), gpp(avpcode.ReportingReason, datatype.Enumerated(7)), wants(10_000)),
		diam.NewAVP(659, 0, 0, groupedAVP(diam.NewAVP(660, 0, 0, datatype.UTF8String("4799000001")))))
	if n := path[datatype.Unsigned64](g, m, 0, "Multiple-Services-Credit-Control", "Granted-Service-Unit", "CC-Total-Octets"); n != 4500 {
		t.Errorf("the last slice is %d", n)
	}
	if v := path[datatype.UTF8String](g, m, 0, "Multiple-Services-Credit-Control", "Final-Unit-Indication", "Redirect-Server", "Redirect-Server-Address"); v != "https://top.up/" {
		t.Errorf("redirected to %q", v)
	}
	if v := path[datatype.UTF8String](g, m, 0, "Multiple-Services-Credit-Control", uint32(669), uint32(665), uint32(667)); v != "https://top.up/" {
		t.Errorf("in the new form to %q", v)
	}

	m = g.ccr(3, service(10, uses(4500, 2)))
	if path[datatype.Unsigned32](g, m, 0, "Result-Code") != 2001 {
		t.Errorf("%s", m)
	}
	if pot, spent, _ := k.figures(); pot != 0 || spent != 5000 {
		t.Errorf("pot %d, spent %d", pot, spent)
	}

	m = g.ccr(2, diam.NewAVP(60000, avpcode.Mbit, 0, datatype.OctetString("?")))
	if code := path[datatype.Unsigned32](g, m, 0, "Result-Code"); code != 5001 {
		t.Errorf("an unknown mandatory AVP: %d", code)
	}
	if _, err := m.FindAVP("Failed-AVP", 0); err != nil {
		t.Error("it is not shown")
	}
}

// An accounting record of another implementation, with flows and the bearer.
func TestForeignRecord(t *testing.T) {
	k := newTill(t, 5000)
	_, addr := serve(t, k, nil)
	g := newStranger(t, addr)
	octets := func(code uint32, in, out uint64, more ...*diam.AVP) *diam.AVP {
		return gpp(code, groupedAVP(append(more, must(avpcode.AccountingInputOctets, datatype.Unsigned64(in)), must(avpcode.AccountingOutputOctets, datatype.Unsigned64(out)))...))
	}
	send := func(kind, number int, info ...*diam.AVP) *diam.Message {
		m := diam.NewRequest(diam.Accounting, 3, g.book)
		for _, a := range []*diam.AVP{
			must(avpcode.SessionID, datatype.UTF8String("r")),
			must(avpcode.OriginHost, datatype.DiameterIdentity(pgwHost)),
			must(avpcode.OriginRealm, datatype.DiameterIdentity(pgwRealm)),
			must(avpcode.DestinationRealm, datatype.DiameterIdentity(ocsRealm)),
			must(avpcode.AccountingRecordType, datatype.Enumerated(kind)),
			must(avpcode.AccountingRecordNumber, datatype.Unsigned32(number)),
			must(avpcode.AcctApplicationID, datatype.Unsigned32(3)),
			must(avpcode.ServiceContextID, datatype.UTF8String("32251@3gpp.org")),
			gpp(avpcode.ServiceInformation, groupedAVP(gpp(avpcode.PSInformation, groupedAVP(info...)))),
		} {
			m.AddAVP(a)
		}
		if _, err := m.WriteTo(g.conn); err != nil {
			t.Fatal(err)
		}
		return g.answer(g.answers)
	}
	send(2, 0)
	m := send(3, 1, octets(avpcode.TrafficDataVolumes, 100, 200),
		octets(avpcode.ServiceDataContainer, 60, 150, must(avpcode.RatingGroup, datatype.Unsigned32(10)), gpp(avpcode.TimeUsage, datatype.Unsigned32(30))),
		octets(avpcode.ServiceDataContainer, 40, 50, must(avpcode.RatingGroup, datatype.Unsigned32(20))))
	if path[datatype.Unsigned32](g, m, 0, "Result-Code") != 2001 || path[datatype.Unsigned32](g, m, 0, "Accounting-Record-Number") != 1 ||
		path[datatype.Enumerated](g, m, 0, "Accounting-Record-Type") != 3 || path[datatype.Unsigned32](g, m, 0, "Acct-Application-Id") != 3 {
		t.Errorf("%s", m)
	}
	if _, spent, _ := k.figures(); spent != 300 || len(k.seen) != 2 || k.seen[1].Kind != credit.Update {
		t.Errorf("spent %d", spent)
	}
}
