package kea

import (
	"errors"
	"testing"
)

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{`[{"result":0,"arguments":{"Dhcp4":{}}}]`, `[{"result":1,"text":"no"}]`, `[]`, `{}`, `[{}]`, `[{"result":0},{"result":0}]`, "", `[{"result":"0"}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := answer("config-get", text)
		if err != nil && got != nil {
			t.Error("an answer and an error")
		}
	})
}

func TestAnswer(t *testing.T) {
	var no *Refused
	if _, err := answer("lease4-get", []byte(`[{"result":3,"text":"none"}]`)); !errors.As(err, &no) || no.Result != 3 || no.Text != "none" {
		t.Error(err)
	}
	if got, err := answer("config-get", []byte(`[{"result":0,"arguments":{"a":1}}]`)); err != nil || string(got) != `{"a":1}` {
		t.Error(string(got), err)
	}
	for _, bad := range []string{`[]`, `[{"text":"x"}]`, `[{"result":0},{"result":0}]`, `{`} {
		if _, err := answer("config-get", []byte(bad)); err == nil || errors.As(err, &no) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
