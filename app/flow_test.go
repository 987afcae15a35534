package app

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"tandem/bss/charging"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

var update = flag.Bool("update", false, "write docs/flow.md anew")

// The drawing of the score cannot drift from the score.
func TestFlowDrawing(t *testing.T) {
	db := storetest.Open(t, store.SQLite, outbox.Schema())
	b := outbox.New(db, slog.Default())
	score(b, &charging.Room{})
	got := drawFlow(b.Score())
	const file = "../docs/flow.md"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("docs/flow.md does not show the score; go test ./app -run Flow -update draws it anew:\n%s", got)
	}
}

func drawFlow(lines []outbox.Line) string {
	var b strings.Builder
	b.WriteString("# The score: which fact is heard by whom\n\nDrawn from app/flow.go by `go test ./app -run Flow -update`; the test fails when the two differ.\n\n```\n")
	var facts []string
	hearers := map[string][]string{}
	for _, l := range lines {
		if !slices.Contains(facts, l.Fact) {
			facts = append(facts, l.Fact)
		}
		hearers[l.Fact] = append(hearers[l.Fact], l.Hearer)
	}
	for _, f := range facts {
		fmt.Fprintf(&b, "%-22s ^ %s\n", f, strings.Join(hearers[f], ", "))
	}
	b.WriteString("```\n")
	return b.String()
}
