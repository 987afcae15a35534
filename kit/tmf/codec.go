package tmf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
)

// MaxDepth is how deep a document may nest.
const MaxDepth = 40

// Instants are written in UTC with microseconds, so that their text sorts as
// they do; they are read in any RFC 3339 form.
var (
	marshalers = json.MarshalToFunc(func(e *jsontext.Encoder, t time.Time) error {
		if !writable(t) {
			return errTimeRange
		}
		return e.WriteToken(jsontext.String(FormatTime(t)))
	})
	encodeOptions = json.JoinOptions(json.WithMarshalers(marshalers), jsontext.EscapeForHTML(false))
)

// inputOptions refuse instants that could not be written again: 9999-12-31T23:00:00-05:00
// is beyond the year 9999 in UTC.
var inputOptions = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, t *time.Time) error {
	if d.PeekKind() != '"' {
		return errors.ErrUnsupported
	}
	tok, err := d.ReadToken()
	if err != nil {
		return err
	}
	if *t, err = time.Parse(time.RFC3339Nano, tok.String()); err == nil && !writable(*t) {
		err = errTimeRange
	}
	return err
}))

var errTimeRange = fault.BadInput("invalidDate", "A date-time lies between the years 0 and 9999")

func writable(t time.Time) bool { return t.UTC().Year() >= 0 && t.UTC().Year() <= 9999 }

// FormatTime is the wire form of an instant.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// ParseTime reads an RFC 3339 instant; a blank stands for a plus that was not
// percent-encoded (TMF630 Part 1, filters).
func ParseTime(s string) (time.Time, error) {
	if i := strings.LastIndexByte(s, ' '); i > 10 {
		s = s[:i] + "+" + s[i+1:]
	}
	return time.Parse(time.RFC3339Nano, s)
}

func encode(v any) ([]byte, error) { return json.Marshal(v, encodeOptions) }

// Encode is the wire form of any TMF value.
func Encode(v any) ([]byte, error) { return encode(v) }

// Decode reads a TMF value that this program wrote.
func Decode(data []byte, v any) error { return decode(data, v) }

func decode(data []byte, v any) error { return json.Unmarshal(data, v) }

// decodeInput reads what a client sent and says in its words what is wrong.
func decodeInput(data []byte, v any) error {
	if err := sound(data); err != nil {
		return err
	}
	return inputError(json.Unmarshal(data, v, inputOptions))
}

func inputError(err error) error {
	var sem *json.SemanticError
	var syn *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &sem):
		return fault.BadInput("wrongType", "%s", wrongType(sem))
	case errors.As(err, &syn):
		return fault.BadInput("malformedJSON", "The body is not valid JSON: %s", syntaxReason(syn))
	}
	return fault.BadInput("malformedJSON", "The body is not valid JSON")
}

func syntaxReason(e *jsontext.SyntacticError) string {
	if errors.Is(e.Err, jsontext.ErrDuplicateName) {
		return fmt.Sprintf("attribute %s is given twice", dotted(e.JSONPointer))
	}
	return fmt.Sprintf("near byte %d", e.ByteOffset)
}

func wrongType(e *json.SemanticError) string {
	where := dotted(e.JSONPointer)
	if where == "" {
		where = "The body"
	}
	if e.Err != nil && e.GoType != timeType {
		return fmt.Sprintf("%s: %v", where, e.Err)
	}
	want := "of another type"
	switch {
	case e.GoType == nil:
	case e.GoType == timeType:
		want = "a date-time like 2026-01-31T12:00:00Z"
	default:
		want = map[string]string{"string": "a string", "bool": "true or false", "slice": "an array", "struct": "an object",
			"int": "a whole number", "int64": "a whole number", "ptr": "an object"}[e.GoType.Kind().String()]
		if want == "" {
			want = "of another type"
		}
	}
	return fmt.Sprintf("%s must be %s", where, want)
}

// dotted turns /a/0/b into a[0].b.
func dotted(p jsontext.Pointer) string {
	var b strings.Builder
	for tok := range p.Tokens() {
		switch {
		case tok != "" && strings.Trim(tok, "0123456789") == "":
			b.WriteString("[" + tok + "]")
		case b.Len() > 0:
			b.WriteString("." + tok)
		default:
			b.WriteString(tok)
		}
	}
	return b.String()
}

// sound checks what no decoder of structs would notice inside attributes it
// does not know: depth, well-formedness, UTF-8 and NUL (which PostgreSQL cannot
// keep in text).
func sound(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	for whole := false; ; whole = d.StackDepth() == 0 {
		tok, err := d.ReadToken()
		switch {
		case whole && errors.Is(err, io.EOF):
			return nil
		case whole && err == nil:
			return fault.BadInput("malformedJSON", "The body is not valid JSON: something follows its end")
		case err != nil:
			return inputError(malformed(err))
		}
		if d.StackDepth() > MaxDepth {
			return fault.BadInput("tooDeep", "The body nests deeper than %d levels", MaxDepth)
		}
		if tok.Kind() == '"' && strings.ContainsRune(tok.String(), 0) {
			return fault.BadInput("badText", "%s contains a NUL character", dotted(d.StackPointer()))
		}
	}
}

func malformed(err error) error {
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		return err
	}
	return errors.New("unexpected end")
}
