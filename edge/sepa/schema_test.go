package sepa_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/edge/peertest"
	"tandem/edge/sepa"
	"tandem/edge/sepa/sepatest"
	"tandem/kit/civil"
	"tandem/kit/money"
)

// The judge is xmllint, by the schemas of ISO 20022 that a Java library for online
// banking brings along: those of the payments and of the intraday report, whose lines
// are those of statements and notices.
const library = "/usr/share/java/hbci4j-core.jar"

type judge struct {
	lint, dir string
	files     map[string][]string // by schema
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	j := &judge{lint: peertest.Need(t, "xmllint", "libxml2-utils"), dir: t.TempDir(), files: map[string][]string{}}
	jar, err := zip.OpenReader(library)
	if err != nil && os.Getenv("TANDEM_ALLOW_SKIP") == "1" {
		t.Skipf("%v: apt-get install libhbci4j-core-java", err)
	}
	if err != nil {
		t.Fatalf("%v: apt-get install libhbci4j-core-java", err)
	}
	defer jar.Close()
	for _, f := range jar.File {
		if !strings.HasSuffix(f.Name, ".xsd") {
			continue
		}
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		in.Close()
		j.keep(t, filepath.Base(f.Name), text)
	}
	return j
}

func (j *judge) keep(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(j.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var kind = regexp.MustCompile(`urn:iso:std:iso:20022:tech:xsd:([a-z0-9.]+)"`)

// add puts a file before the judge. A statement or notice is judged as the report that
// has the same parts under other names.
func (j *judge) add(t *testing.T, file []byte) {
	t.Helper()
	found := kind.FindSubmatch(file)
	if found == nil {
		t.Fatalf("no namespace in %.200s", file)
	}
	schema := string(found[1])
	if strings.HasPrefix(schema, "camt.05") {
		file = regexp.MustCompile(`camt\.05[34]`).ReplaceAll(file, []byte("camt.052"))
		file = regexp.MustCompile(`BkToCstmrStmt|BkToCstmrDbtCdtNtfctn`).ReplaceAll(file, []byte("BkToCstmrAcctRpt"))
		file = regexp.MustCompile(`(</?(?:n:)?)(?:Stmt|Ntfctn)(>|Pgntn>)`).ReplaceAll(file, []byte("${1}Rpt$2"))
		schema = "camt.052" + schema[len("camt.052"):]
	}
	j.files[schema] = append(j.files[schema], j.keep(t, fmt.Sprintf("%s-%d.xml", schema, len(j.files[schema])), file))
}

// ask has all files judged and returns what is said about those that are wrong.
func (j *judge) ask(t *testing.T) (wrong string, judged int) {
	t.Helper()
	for schema, files := range j.files {
		out, err := exec.CommandContext(t.Context(), j.lint, append([]string{"--noout", "--nonet", "--schema", filepath.Join(j.dir, schema+".xsd")}, files...)...).CombinedOutput()
		if _, ok := err.(*exec.ExitError); err != nil && !ok {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasSuffix(strings.TrimSpace(line), " validates") {
				judged++
			} else {
				wrong += line
			}
		}
	}
	return wrong, judged
}

// Whatever is written, and whatever a bank of the tests answers, is what the schemas
// of ISO 20022 allow.
func TestTheSchemasOfISO20022(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 3))
	j := newJudge(t)
	samples, err := filepath.Glob("testdata/*.xml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range samples {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		j.add(t, text)
	}
	for range 60 {
		for _, file := range exchange(t, rnd) {
			j.add(t, file)
		}
	}
	wrong, judged := j.ask(t)
	if wrong != "" || judged != len(samples)+60*6 {
		t.Fatalf("%d files are right; %.3000s", judged, wrong)
	}
	t.Logf("%d files by %d schemas", judged, len(j.files))

	// The judge can say no: two elements change places.
	text, err := os.ReadFile("testdata/pain.008.001.08.xml")
	if err != nil {
		t.Fatal(err)
	}
	no := newJudge(t)
	no.add(t, bytes.Replace(text, []byte("<PmtMtd>DD</PmtMtd>\n   <BtchBookg>true</BtchBookg>"), []byte("<BtchBookg>true</BtchBookg>\n<PmtMtd>DD</PmtMtd>"), 1))
	if wrong, judged := no.ask(t); wrong == "" || judged != 0 {
		t.Error("elements in the wrong order pass")
	}
}

// exchange is a random file of direct debits, one of transfers, and what a bank answers.
func exchange(t *testing.T, rnd *rand.Rand) [][]byte {
	t.Helper()
	zone, err := civil.LoadZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	p := sepa.Standard(zone)
	p.Version, p.Charset, p.Each = sepa.V2009+sepa.Version(rnd.IntN(2)), sepa.Latin+sepa.Charset(rnd.IntN(3)), rnd.IntN(2) == 0
	bank := sepatest.New(ourAccount, rnd.Int64N(1000)-500)
	bank.Newer, bank.Each = rnd.IntN(2) == 0, rnd.IntN(2) == 0
	bank.Reject(string(debtors[1]), "MD01")
	now := time.Date(2026, 3, 30, 10, 0, 0, 0, zone)
	d := file(p, rnd, 0, now)
	for i := range d.Collections {
		adorn(rnd, &d.Collections[i])
	}
	var debits, transfers bytes.Buffer
	if _, err := p.WriteDebits(&debits, d); err != nil {
		t.Fatal(err)
	}
	if _, err := p.WriteTransfers(&transfers, sepa.Transfers{ID: "T", Created: now, Execute: p.HandedIn(now), Name: words(rnd), IBAN: ourAccount, Items: []sepa.Transfer{
		{EndToEnd: "E", Amount: money.Amount{Minor: 1 + rnd.Int64N(1e9), Currency: money.EUR}, Name: words(rnd), IBAN: debtors[2], Text: words(rnd), Address: address(rnd)},
	}}); err != nil {
		t.Fatal(err)
	}
	report, err := bank.Take(debits.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	carried, err := bank.Carry("2026-04-10", transfers.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !bank.Newer { // the older schema at hand is that of the German banks, for rejections only
		report, carried = rejected(report), rejected(carried)
	}
	bank.Settle("2026-04-20")
	giveBack(t, rnd, bank, sepa.Debits{Collections: others(d.Collections)}, "2026-04-21")
	return [][]byte{debits.Bytes(), transfers.Bytes(), report, carried, bank.Notice("2026-04-21"), bank.Statement("2026-04-21")}
}

// rejected is the report as if it said no.
func rejected(report []byte) []byte {
	report = regexp.MustCompile(`<GrpSts>[A-Z]*</GrpSts>(<StsRsnInf>.*?</StsRsnInf>)?`).ReplaceAll(report, []byte("<GrpSts>RJCT</GrpSts><StsRsnInf><Orgtr><Id><OrgId><BICOrBEI>BYLADEM1001</BICOrBEI></OrgId></Id></Orgtr><Rsn><Cd>MD01</Cd></Rsn></StsRsnInf>"))
	return report
}

func others(all []sepa.Collection) (out []sepa.Collection) {
	for _, c := range all {
		if c.IBAN != debtors[1] {
			out = append(out, c)
		}
	}
	return out
}

// adorn fills what may be there or not.
func adorn(rnd *rand.Rand, c *sepa.Collection) {
	c.Debtor, c.Address = words(rnd), address(rnd)
	if c.Text = words(rnd); rnd.IntN(2) == 0 {
		c.Text, c.Reference = "", "RF18539007547034"
	}
	if rnd.IntN(2) == 0 {
		c.BIC = "COBADEFFXXX"
	}
	m := &c.Mandate.Change
	switch rnd.IntN(6) {
	case 0:
		m.MandateID = "OLD-1"
	case 1:
		m.CreditorName = words(rnd)
	case 2:
		m.CreditorID = "AT61ZZZ01234567890"
	case 3:
		m.IBAN = debtors[3]
	case 4:
		m.Account, m.CreditorName = true, words(rnd)
	}
}

func address(rnd *rand.Rand) sepa.Address {
	switch rnd.IntN(3) {
	case 0:
		return sepa.Address{}
	case 1:
		return sepa.Address{Town: words(rnd), Country: "AT"}
	}
	return sepa.Address{Street: words(rnd), Building: "1", PostCode: "1010", Town: words(rnd), Country: "AT"}
}

// words are names and texts as people have them, some of them too long.
func words(rnd *rand.Rand) string {
	all := []string{"Erika", "Müller", "& Söhne", "<b>", `"x"`, "ẞ", "Παπαδόπουλος", "Щербаков", "日本", "\u0007", "🙂", "A/B", "it's", "%", "Ø"}
	out := "N"
	for range rnd.IntN(9) {
		out += " " + all[rnd.IntN(len(all))]
	}
	return out
}
