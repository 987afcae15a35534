package driver_test

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"tandem/oss/activation/driver"
)

func TestASecretIsNeverPrinted(t *testing.T) {
	const text = "465b5ce8b199b49faa5f0a2ee238a6bc"
	s := driver.NewSecret(text)
	if s.Reveal() != text || !s.Equal(driver.NewSecret(text)) || s.Equal(driver.NewSecret(text[1:])) || (driver.Secret{}).Reveal() != "" {
		t.Fatal("the secret is not kept")
	}
	type hidden struct{ inner driver.Secret }
	d := driver.Desired{Secrets: map[string]driver.Secret{"k": s}}
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{s, &s, d, &d, hidden{s}, &hidden{s}, []any{s}, &driver.Error{Reason: fmt.Sprint(s)}, fmt.Errorf("with %v", s)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			fmt.Fprintf(&out, verb, v)
		}
		log.Info("a value", "v", v)
	}
	one, err := json.Marshal(d)
	two, err2 := stdjson.Marshal(d)
	if err = errors.Join(err, err2); err != nil || !bytes.Contains(one, []byte("[redacted]")) || !bytes.Contains(two, []byte("[redacted]")) {
		t.Fatalf("%s, %s, %v", one, two, err)
	}
	all := strings.ToLower(out.String() + string(one) + string(two))
	for _, form := range []string{text, text[:8], fmt.Sprintf("%x", text)[:16], "52 54 53 98"} {
		if strings.Contains(all, form) {
			t.Errorf("%q was printed", form)
		}
	}
	var back driver.Desired
	if err := json.Unmarshal(one, &back); err == nil {
		t.Error("a redacted secret was read as a secret")
	}
}

func TestClassOf(t *testing.T) {
	conflict := &driver.Error{Class: driver.Conflict, Reason: "no", Err: errors.New("why")}
	for _, c := range []struct {
		err   error
		want  driver.Class
		retry bool
	}{
		{conflict, driver.Conflict, false},
		{fmt.Errorf("around: %w", conflict), driver.Conflict, false},
		{context.Canceled, driver.Transient, true},
		{fmt.Errorf("around: %w", context.DeadlineExceeded), driver.Transient, true},
		{errors.New("anything"), driver.Unknown, true},
	} {
		if got := driver.ClassOf(c.err); got != c.want || got.Retryable() != c.retry {
			t.Errorf("%v is %s", c.err, got)
		}
	}
	if got := conflict.Error(); got != "no: why" {
		t.Errorf("%q", got)
	}
}
