package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/app"
	"tandem/app/mobile"
	"tandem/bss/charging/core"
	"tandem/bss/subscription"
	"tandem/edge/hlr/hlrtest"
	"tandem/edge/peertest"
	"tandem/kit/store"
)

const (
	scscf        = "scscf.ims.test"
	voiceCharger = "ocs.oss.test"
)

// A prepaid call through a real Kamailio is cut when the money is used up. It runs in
// a network of its own, where the call server finds the names and ports it expects.
func TestPrepaidVoiceIsCut(t *testing.T) {
	t.Parallel()
	for program, pack := range map[string]string{"kamailio": "kamailio kamailio-ims-modules", "sipp": "sip-tester", "ip": "iproute2"} {
		peertest.Need(t, program, pack)
	}
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			if apart(t, engine) {
				cutByCharging(t, engine)
			}
		})
	}
}

// ims is a call server with a phone at each end.
type ims struct {
	*operator
	dir string
}

func (m *ims) file(name, text string) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	return path
}

func cutByCharging(t *testing.T, engine store.Dialect) {
	dir := t.TempDir()
	network(t, dir)
	e := hlrtest.Start(t)
	c := config(t, engine)
	c.Faces = app.Faces{Diameter: &app.DiameterFace{Listen: "127.0.0.1:3870", Host: voiceCharger, Realm: "oss.test", Peers: []app.DiameterPeer{{Host: scscf}}}}
	o := start(t, c, e)
	o.seed(e.CTRL(), e.VTY(), stock)
	perSecond := map[string]any{"price": map[string]any{"unit": "EUR", "value": 0.01}, "unitOfMeasure": map[string]any{"amount": 1, "units": "s"},
		"tandem:rating": map[string]any{"price": nil, "grant": nil, "match": map[string]any{"service": "voice", "destination": "abroad"}, "class": "voice.abroad"}}
	if a := o.as(brand, http.MethodPatch, "/tmf-api/productCatalogManagement/v4/productOfferingPrice/mobile-calls-abroad", perSecond); a.status != http.StatusOK {
		t.Fatal(a)
	}
	p := o.sold(mobile.Prepaid)
	m := &ims{o, dir}
	m.kamailio()
	if res := m.call(p, "49301234567"); res == nil {
		t.Fatal("a call without money went through")
	}
	m.pays(p, 150_000_000) // 15 seconds
	began := time.Now()
	if err := m.call(p, "49301234567"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 12*time.Second || took > 25*time.Second {
		t.Errorf("15 seconds were paid; the call was cut after %v", took)
	}
	o.await("the usage record", func() bool {
		return o.count("SELECT count(*) FROM charging_usage WHERE tenant = $1 AND seconds >= 15 AND seconds <= 17", brand) == 1
	})
	money := o.count("SELECT -sum(amount) FROM charging_entry WHERE tenant = $1 AND against = 'usage'", brand)
	seconds := o.count("SELECT sum(seconds) FROM charging_usage WHERE tenant = $1", brand)
	if money != seconds*10_000_000 {
		t.Errorf("%d seconds were charged with %d", seconds, money)
	}
}

// network brings up loopback and the names the call server looks for.
func network(t *testing.T, dir string) {
	t.Helper()
	hosts := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost "+voiceCharger+" "+scscf+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ip", "link", "set", "lo", "up"}, {"mount", "--make-rprivate", "/"}, {"mount", "--bind", hosts, "/etc/hosts"}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
}

// kamailio starts the call server and waits until its Diameter connection stands.
func (m *ims) kamailio() {
	m.t.Helper()
	xml := m.file("cdp.xml", fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<DiameterPeer FQDN=%q Realm="ims.test" Vendor_Id="10415" Product_Name="CDiameterPeer" AcceptUnknownPeers="1" DropUnknownOnDisconnect="1"
 Tc="5" Workers="2" QueueLength="32" ConnectTimeout="3" TransactionTimeout="5" SessionsHashSize="128" DefaultAuthSessionTimeout="60" MaxAuthSessionTimeout="300">
 <Peer FQDN=%q Realm="oss.test" port="3870"/>
 <Acceptor port="3871" bind="127.0.0.1"/>
 <Auth id="4" vendor="10415"/><Auth id="4" vendor="0"/>
 <DefaultRoute FQDN=%q metric="10"/>
</DiameterPeer>
`, scscf, voiceCharger, voiceCharger))
	conf := m.file("kamailio.cfg", callServer(xml))
	log, err := os.Create(filepath.Join(m.dir, "kamailio.log"))
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command("kamailio", "-DD", "-f", conf, "-Y", m.dir, "-w", m.dir, "-P", filepath.Join(m.dir, "k.pid"), "-m", "64", "-M", "8")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it forks, and sometimes crashes when asked to stop
		_ = cmd.Wait()
		if m.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			m.t.Logf("kamailio:\n%s", text[max(0, len(text)-6000):])
		}
	})
	m.await("kamailio's Diameter connection", func() bool { return m.DiameterPeers() > 0 })
}

// callServer is its configuration: one call in, credit asked for, one call out.
func callServer(cdp string) string {
	var b strings.Builder
	b.WriteString("#!KAMAILIO\ndebug=2\nlog_stderror=yes\nchildren=2\nlisten=udp:127.0.0.1:5060\nmpath=\"/usr/lib/x86_64-linux-gnu/kamailio/modules/\"\n")
	for _, m := range strings.Fields("tm sl rr pv textops siputils cdp cdp_avp ims_dialog ims_charging") {
		fmt.Fprintf(&b, "loadmodule %q\n", m+".so")
	}
	for _, p := range [][3]any{{"cdp", "config_file", cdp}, {"rr", "enable_full_lr", 1}, {"rr", "append_fromtag", 1},
		{"ims_dialog", "dlg_flag", 2}, {"ims_dialog", "timeout_avp", "$avp(DLG_TIMEOUT_AVP)"}, {"ims_dialog", "detect_spirals", 1}, {"ims_dialog", "profiles_no_value", "orig ; term"},
		{"ims_charging", "origin_host", scscf}, {"ims_charging", "origin_realm", "ims.test"}, {"ims_charging", "destination_host", voiceCharger},
		{"ims_charging", "destination_realm", "oss.test"}, {"ims_charging", "ro_forced_peer", voiceCharger}, {"ims_charging", "interim_update_credits", 10},
		{"ims_charging", "timer_buffer", 2}, {"ims_charging", "service_context_id_root", "32260@3gpp.org"}, {"ims_charging", "service_context_id_ext", "ext"},
		{"ims_charging", "service_context_id_mnc", "01"}, {"ims_charging", "service_context_id_mcc", "001"}, {"ims_charging", "service_context_id_release", "8"}} {
		if text, ok := p[2].(string); ok {
			fmt.Fprintf(&b, "modparam(%q, %q, %q)\n", p[0], p[1], text)
		} else {
			fmt.Fprintf(&b, "modparam(%q, %q, %d)\n", p[0], p[1], p[2])
		}
	}
	b.WriteString(`
request_route {
	if (has_totag()) { loose_route(); t_relay(); exit; }
	if (!is_method("INVITE")) {
		if (is_method("CANCEL") && t_check_trans()) { t_relay(); } else { sl_send_reply("405", "No"); }
		exit;
	}
	setflag(2);
	t_newtran();
	record_route();
	set_dlg_profile("orig");
	$var(cc) = Ro_CCR("CREDIT", "orig", 10, "1", "1");
	if ($var(cc) < 0) { t_reply("402", "Payment Required"); }
	exit;
}
route[CREDIT] {
	switch ($avp(s:cca_return_code)) {
		case 1: $du = "sip:127.0.0.1:5070"; t_relay(); break;
		case -1: t_reply("402", "Payment Required"); break;
		default: t_reply("500", "Charging Error");
	}
	exit;
}
`)
	return b.String()
}

// call rings a number from the product's line and talks until somebody hangs up
// for it. An error is a call that did not come about or was not cut.
func (m *ims) call(p *subscription.Product, called string) error {
	m.t.Helper()
	ctx, stop := context.WithTimeout(m.t.Context(), 40*time.Second)
	defer stop()
	callee := exec.CommandContext(ctx, "sipp", "-sf", m.file("uas.xml", answering), "-i", "127.0.0.1", "-p", "5070", "-m", "1", "-nostdin")
	callee.Dir = m.dir
	if err := callee.Start(); err != nil {
		m.t.Fatal(err)
	}
	defer func() {
		callee.Process.Kill()
		callee.Wait()
	}()
	m.listens("5070")
	caller := exec.CommandContext(ctx, "sipp", "127.0.0.1:5060", "-sf", m.file("uac.xml", strings.ReplaceAll(calling, "CALLER", char(p, "msisdn"))),
		"-s", called, "-i", "127.0.0.1", "-p", "5080", "-m", "1", "-nostdin", "-trace_err")
	caller.Dir = m.dir
	out, err := caller.CombinedOutput()
	if err != nil {
		logs, _ := filepath.Glob(filepath.Join(m.dir, "uac_*_errors.log"))
		for _, l := range logs {
			text, _ := os.ReadFile(l)
			out = append(out, text...)
		}
		return fmt.Errorf("the call: %w\n%s", err, out[max(0, len(out)-1500):])
	}
	return nil
}

// listens waits until a UDP port is bound: a closed one is refused at once.
func (m *ims) listens(port string) {
	m.t.Helper()
	var n int
	_, _ = fmt.Sscan(port, &n)
	want := fmt.Sprintf(":%04X ", n)
	m.await("the phone", func() bool {
		table, err := os.ReadFile("/proc/self/net/udp")
		return err == nil && bytes.Contains(table, []byte(want))
	})
}

// pays tops the product's balance up, in 10^-9 EUR.
func (m *ims) pays(p *subscription.Product, amount int64) {
	m.t.Helper()
	n := m.count("SELECT account FROM charging_line WHERE tenant = $1 AND product = $2", brand, p.ID)
	_, err := m.Charging.Engine.Run(m.t.Context(), core.Command{Ref: core.NewRef(int(n%256), uint32(n/256)),
		Do: func(h *core.Hand) error { return h.Credit(1, amount, core.TopUp, "voucher", 0) }})
	if err != nil {
		m.t.Fatal(err)
	}
}

// calling is a phone that waits to be cut.
const calling = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="calling">
 <send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:CALLER@ims.test>;tag=[call_number]
To: <sip:[service]@ims.test>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:CALLER@[local_ip]:[local_port]>
P-Asserted-Identity: <sip:CALLER@ims.test>
Max-Forwards: 70
Content-Length: 0

 ]]></send>
 <recv response="100" optional="true"/>
 <recv response="180" optional="true"/>
 <recv response="200" rrs="true"/>
 <send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[routes]
From: <sip:CALLER@ims.test>;tag=[call_number]
To: <sip:[service]@ims.test>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

 ]]></send>
 <recv request="BYE" timeout="35000"/>
 <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

 ]]></send>
</scenario>
`

// answering is a phone that answers and waits to be cut.
const answering = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="answering">
 <recv request="INVITE"/>
 <send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_Record-Route:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0

 ]]></send>
 <send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_Record-Route:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0

 ]]></send>
 <recv request="ACK"/>
 <recv request="BYE"/>
 <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

 ]]></send>
</scenario>
`
