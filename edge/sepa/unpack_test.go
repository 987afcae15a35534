package sepa

import (
	"archive/zip"
	"bytes"
	"testing"

	"tandem/kit/fault"
)

func packed(t testing.TB, names ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range names {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(load(t, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestStatementsComeInAnArchive(t *testing.T) {
	archive := packed(t, "statements.de.xml", "statement.nl.xml")
	files, err := Unpack("c53.zip", archive, Limits{})
	if err != nil || len(files) != 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if !bytes.Equal(f.Text, load(t, f.Name)) {
			t.Errorf("%s is another file", f.Name)
		}
		statements(t, f.Text)
	}
	plain := load(t, "statement.nl.xml")
	if files, err := Unpack("s.xml", plain, Limits{}); err != nil || len(files) != 1 || !bytes.Equal(files[0].Text, plain) {
		t.Errorf("a plain file: %v", err)
	}
	if _, err := Unpack("c53.zip", archive, Limits{Bytes: 1000}); fault.Of(err).Code != "fileLarge" {
		t.Errorf("a bomb: %v", err)
	}
	if _, err := Unpack("c53.zip", archive, Limits{Items: 1}); fault.Of(err).Code != "archiveLong" {
		t.Errorf("many files: %v", err)
	}
	if _, err := Unpack("c53.zip", packed(t), Limits{}); fault.Of(err).Code != "archiveEmpty" {
		t.Errorf("an empty archive: %v", err)
	}
}

// An archive that was cut or has a wrong bit gives nothing, or just what was packed.
func TestADamagedArchiveGivesNothing(t *testing.T) {
	archive, want := packed(t, "statement.nl.xml"), load(t, "statement.nl.xml")
	for n := 4; n < len(archive); n += 1 + n%5 {
		if files, err := Unpack("c53.zip", archive[:n], Limits{}); err == nil || files != nil {
			t.Fatalf("cut after %d bytes: %d files, %v", n, len(files), err)
		}
		bad := bytes.Clone(archive)
		bad[n] ^= 0x10
		if files, err := Unpack("c53.zip", bad, Limits{}); err == nil && !bytes.Equal(files[0].Text, want) {
			t.Fatalf("bit at %d: another file comes out", n)
		}
	}
}

func TestMarksOfEditorsAreNoMatter(t *testing.T) {
	file := load(t, "statement.nl.xml")
	want := told(statements(t, file))
	for name, other := range map[string][]byte{
		"byte order mark": append([]byte("\ufeff"), file...),
		"line ends":       bytes.ReplaceAll(file, []byte("\n"), []byte("\r\n")),
		"white space":     append(file, " \r\n\n"...),
	} {
		if got := told(statements(t, other)); got != want {
			t.Errorf("%s: another reading", name)
		}
	}
}
