package nchf

import (
	"strings"
	"testing"
)

const v3 = "/nchf-convergedcharging/v3/chargingdata"

func TestSessionWalkOverH2C(t *testing.T) {
	t.Parallel()
	l := newLedger()
	h := serve(t, Config{}, l)
	c := h2(t)
	a := post(t, c, "http://"+h.addr+v3, createBody)
	if a.status != 201 {
		t.Fatalf("create: %d %s", a.status, a.body)
	}
	location := a.header.Get("Location")
	if !strings.HasPrefix(location, "http://"+h.addr+v3+"/") {
		t.Fatalf("Location %q", location)
	}
	want := `{"invocationTimeStamp":"2026-03-01T10:00:00.25Z","invocationSequenceNumber":1,"invocationResult":{"failureHandling":"TERMINATE"},` +
		`"multipleUnitInformation":[{"resultCode":"SUCCESS","ratingGroup":100,"grantedUnit":{"totalVolume":9007199254740993},` +
		`"validityTime":3600,"volumeQuotaThreshold":1048576}]}`
	if a.body != want {
		t.Errorf("answer\n%s, not\n%s", a.body, want)
	}
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("Date") == "" {
		t.Errorf("header %v", a.header)
	}
	again := post(t, c, "http://"+h.addr+v3, strings.Replace(createBody, "{", `{"retransmissionIndicator":true,`, 1))
	if again.status != 201 || again.header.Get("Location") != location {
		t.Errorf("a repeated create: %d at %q, not at %q", again.status, again.header.Get("Location"), location)
	}
	if l.twice != 1 {
		t.Errorf("the core saw %d repetitions, not 1", l.twice)
	}
	if u := post(t, c, location+"/update", updateBody); u.status != 200 {
		t.Errorf("update: %d %s", u.status, u.body)
	}
	ref := location[strings.LastIndexByte(location, '/')+1:]
	if got := l.sum(ref); got != 1<<64-1 {
		t.Errorf("%d octets charged, not all 64 bits", got)
	}
	if r := post(t, c, location+"/release", releaseBody); r.status != 204 || r.body != "" {
		t.Errorf("release: %d %q", r.status, r.body)
	}
}
