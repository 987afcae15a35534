//go:build ignore

// Tally reads the output of go test -json and shows it as go test would have:
// a line for each package, and everything a failed test said. It ends with how
// many tests passed, failed and were skipped, which it also writes to the file
// TANDEM_TALLY names. It fails if a test failed or was skipped;
// TANDEM_ALLOW_SKIP=1 permits to skip.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

type name struct{ pkg, test string }

type tally struct {
	out     io.Writer
	said    map[name]*strings.Builder // output of tests that have not ended
	parents map[name]bool             // tests with subtests: their subtests count
	ended   map[name]string           // test -> pass, fail, skip
	skips   []string
	broken  int // packages that failed outside of any test
	failed  map[string]bool
}

func main() {
	t := &tally{out: os.Stdout, said: map[name]*strings.Builder{}, parents: map[name]bool{}, ended: map[name]string{}, failed: map[string]bool{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Action == "" {
			fmt.Fprintln(t.out, lines.Text()) // go itself has something to say
			continue
		}
		t.take(e)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(2)
	}
	os.Exit(t.finish())
}

func (t *tally) take(e event) {
	n := name{e.Package, e.Test}
	if e.Test == "" {
		t.takePackage(e)
		return
	}
	switch e.Action {
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			t.parents[name{e.Package, e.Test[:i]}] = true
		}
	case "output":
		t.says(n, e.Output)
	case "pass", "fail", "skip":
		t.ended[n] = e.Action
		if e.Action == "fail" {
			t.failed[e.Package] = true
			t.show(n)
		}
		if e.Action == "skip" {
			t.skips = append(t.skips, e.Package+" "+e.Test+reason(t.said[n]))
		}
		delete(t.said, n)
	}
}

func (t *tally) takePackage(e event) {
	switch e.Action {
	case "output", "build-output":
		if e.Output != "PASS\n" {
			fmt.Fprint(t.out, e.Output)
		}
	case "fail":
		for n := range t.said { // a panic or a timeout: nobody ended these
			if n.pkg == e.Package {
				t.show(n)
				t.ended[n] = "fail"
				t.failed[e.Package] = true
				delete(t.said, n)
			}
		}
		if !t.failed[e.Package] {
			t.broken++
		}
	}
}

func (t *tally) says(n name, text string) {
	b := t.said[n]
	if b == nil {
		b = &strings.Builder{}
		t.said[n] = b
	}
	b.WriteString(text)
}

func (t *tally) show(n name) {
	if b := t.said[n]; b != nil {
		fmt.Fprint(t.out, b.String())
	}
}

// reason is what a skipped test said.
func reason(b *strings.Builder) string {
	if b == nil {
		return ""
	}
	for line := range strings.Lines(b.String()) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") && line != "" {
			return ": " + line
		}
	}
	return ""
}

func (t *tally) finish() int {
	count := map[string]int{}
	for n, how := range t.ended {
		if !t.parents[n] || how == "fail" && !t.failedBelow(n) {
			count[how]++
		}
	}
	fmt.Fprintln(t.out)
	for _, s := range t.skips {
		fmt.Fprintln(t.out, "skipped:", s)
	}
	failed := count["fail"] + t.broken
	line := fmt.Sprintf("%d passed, %d failed, %d skipped", count["pass"], failed, count["skip"])
	fmt.Fprintln(t.out, "tests:", line)
	if file := os.Getenv("TANDEM_TALLY"); file != "" {
		if err := os.WriteFile(file, []byte(line+"\n"), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "tally:", err)
			return 2
		}
	}
	switch {
	case failed > 0:
		return 1
	case count["pass"] == 0:
		fmt.Fprintln(os.Stderr, "tally: no test ran")
		return 1
	case len(t.skips) > 0 && os.Getenv("TANDEM_ALLOW_SKIP") != "1":
		fmt.Fprintln(os.Stderr, "tally: tests were skipped; install what they need (scripts/setup) or say TANDEM_ALLOW_SKIP=1")
		return 1
	}
	return 0
}

// failedBelow says that a subtest explains the failure of its parent.
func (t *tally) failedBelow(n name) bool {
	for m, how := range t.ended {
		if how == "fail" && m.pkg == n.pkg && strings.HasPrefix(m.test, n.test+"/") {
			return true
		}
	}
	return false
}
