//go:build schematron

// Run by scripts/schematron, which says what it needs.

package einvoice

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ours are rules of which Check says more than the Schematron (doc.go): it is not
// asked to speak of them.
var ours = []string{"BR-CO-05", "BR-CO-06", "BR-CO-07", "BR-CO-08", "BR-CO-17", "BR-S-08", "BR-S-09", "BR-AF-08", "BR-AF-09", "BR-AG-08", "BR-AG-09",
	"BR-Z-01", "BR-53", "BR-CO-25", "BR-50", "BR-51", "BR-17", "BR-54", "TD-1", "TD-2", "TD-3", "BR-CL-17", "BR-CL-18"}

// judged is one file and what Check says of it.
type judged struct {
	name  string
	rules []string
}

func TestTheSchematronAgrees(t *testing.T) {
	for _, s := range syntaxes {
		t.Run(s.name, func(t *testing.T) {
			in, out, r := t.TempDir(), t.TempDir(), seeded(t)
			var files []judged
			add := func(v *Invoice) {
				var b bytes.Buffer
				if err := s.write(&b, v); err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("%04d.xml", len(files))
				if err := os.WriteFile(filepath.Join(in, name), b.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
				files = append(files, judged{name, rulesOf(Check(v))})
			}
			for _, k := range nine {
				add(sample(k))
			}
			for range 100 {
				add(random(r))
			}
			for _, c := range allCases() {
				v := c.base()
				c.do(v)
				add(v)
			}
			saxon(t, in, out, "EN16931-"+s.name+"-validation.xslt")
			compare(t, out, files)
		})
	}
}

// saxon runs one stylesheet over all files of a folder.
func saxon(t *testing.T, in, out, stylesheet string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "java", "-cp", os.Getenv("SAXON"), "net.sf.saxon.Transform",
		"-s:"+in, "-o:"+out, "-xsl:"+filepath.Join(os.Getenv("SCHEMATRON"), stylesheet))
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%.3000s", err, text)
	}
}

// compare holds the reports against Check, in both directions: who is refused by one is
// refused by the other, and the Schematron names the rule that Check names.
func compare(t *testing.T, out string, files []judged) {
	agreed, apart := 0, 0
	for _, f := range files {
		failed := report(t, filepath.Join(out, f.name))
		if len(f.rules) == 0 && len(failed) > 0 {
			t.Errorf("%s: Check finds it valid, the Schematron says %v", f.name, failed)
		}
		for _, rule := range f.rules {
			switch {
			case slices.Contains(failed, official(rule)) || slices.Contains(failed, rule):
				agreed++
			case slices.Contains(ours, rule):
				apart++
			default:
				t.Errorf("%s: Check says %v, the Schematron %v", f.name, f.rules, failed)
			}
		}
	}
	t.Logf("%d files, %d rules named by both, %d by Check alone as doc.go says", len(files), agreed, apart)
}

// official is the Schematron's name of a rule.
func official(rule string) string {
	rule = strings.Replace(rule, "BR-AF-", "BR-IG-", 1)
	return strings.Replace(rule, "BR-AG-", "BR-IP-", 1)
}

// report reads the rules that a validation report (SVRL) says are broken, warnings aside.
func report(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var svrl struct {
		Fired []struct{} `xml:"fired-rule"`
		Fails []struct {
			ID   string `xml:"id,attr"`
			Flag string `xml:"flag,attr"`
		} `xml:"failed-assert"`
	}
	if err := xml.Unmarshal(text, &svrl); err != nil {
		t.Fatal(err)
	}
	if len(svrl.Fired) == 0 {
		t.Fatalf("%s: no rule was applied", name)
	}
	var failed []string
	for _, f := range svrl.Fails {
		if f.Flag != "warning" && f.Flag != "information" && !slices.Contains(failed, f.ID) {
			failed = append(failed, f.ID)
		}
	}
	slices.Sort(failed)
	return failed
}
