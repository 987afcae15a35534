package demo

import (
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"tandem/app"
	"tandem/edge/peertest"
)

// What docs/balances.md says can be pasted, and does what it says.
func TestWalkOfBalances(t *testing.T) {
	peertest.Need(t, "curl", "curl")
	const token = "a-superuser-token-for-tests"
	a, err := app.New(t.Context(), app.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Tenant: Host, AdminToken: token, Lab: true, AllowLocal: true,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := New(a, token).Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	shell := newShell(t, "TANDEM_ADMIN_TOKEN="+token)
	answers := []string{
		`(?s)"state":"inProgress".*"state":"inProgress"`,
		`(?s)"externalId":"payment-51".*"externalId":"payment-51"`,
		`"amount":10\b`,
		`(?s)"status":"completed".*"amount":4\b`,
		`(?s)"state":"pending".*"fourEyes"`,
		`"decision":"approve"`,
		`(?s)"decision":"approve".*"voucher":"spring-0000[12]".*"status":"failed".*"status":"failed".*"status":"failed".*"voucherLocked"`,
		`(?s)"opening":\{"amount":0\b.*"value":\{"amount":19\b.*"against":"transferIn".*"amount":4\b.*"against":"voucher".*"amount":15\b.*"remainingValue":\{"amount":19\b.*"status":"completed"`,
	}
	blocks := shellBlocks(t, "../../docs/balances.md")
	if len(blocks) != len(answers) {
		t.Fatalf("docs/balances.md has %d blocks for a shell, this test knows %d", len(blocks), len(answers))
	}
	for i, block := range blocks {
		out := shell.run(strings.ReplaceAll(block, "127.0.0.1:8080", a.Addr()))
		if !regexp.MustCompile(answers[i]).MatchString(out) {
			t.Fatalf("%s\nanswers\n%s\nwithout %s", block, out, answers[i])
		}
		comeToRest(t, a)
	}
}
