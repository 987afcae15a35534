package communication

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Template is the words of a notice in a channel and a language. Placeholders are
// {{.name}} of the values the notice brings.
type Template struct {
	tmf.Entity
	Name        string `json:"name,omitzero" tmf:"required"` // welcome, suspended, resumed, goodbye, orderFailed, allowanceUsed ..., or your own
	Description string `json:"description,omitzero"`
	Channel     string `json:"channel,omitzero" tmf:"required,enum=email|sms|webhook"`
	Language    string `json:"language,omitzero" tmf:"required"` // ISO 639: de, en
	Subject     string `json:"subject,omitzero"`
	Body        string `json:"body,omitzero" tmf:"required"`
}

// Templates are the tenant's own templates; see builtin for the rest.
var Templates = tmf.Kind[Template, *Template]{
	API: &OwnAPI, Name: "messageTemplate", Table: "communication_template", Verbs: tmf.All,
	Index: []string{"name", "channel", "language"}, Frozen: []string{"name", "channel", "language"},
}

// postTemplate gives a template the id that says what it is, so that there is one
// for each name, channel and language.
func postTemplate(tx *store.Tx, t *Template) error {
	t.Language = language(t.Language)
	t.ID = t.Name + "." + t.Channel + "." + t.Language
	return Templates.Create(tx, t)
}

func checkTemplate(_ *store.Tx, _, t *Template) error {
	if !isWord(t.Name) || !isWord(t.Language) {
		return fault.BadInput("badName", "name and language of a template are words of letters, digits and hyphens")
	}
	if strings.ContainsAny(t.Subject, "\r\n") {
		return fault.BadInput("invalidSubject", "subject is one line")
	}
	if t.Channel == Email && strings.TrimSpace(t.Subject) == "" {
		return fault.BadInput("mandatoryAttributeMissing", "subject is required for e-mail")
	}
	for attr, text := range map[string]string{"subject": t.Subject, "body": t.Body} {
		if _, err := compile(t.Name, text); err != nil {
			return fault.BadInput("invalidTemplate", "%s: %v", attr, err)
		}
	}
	return nil
}

func isWord(s string) bool {
	return len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == "" && s != ""
}

// language is the bare language of a tag: de-AT and de_AT are de.
func language(tag string) string {
	bare, _, _ := strings.Cut(strings.ReplaceAll(tag, "_", "-"), "-")
	return strings.ToLower(bare)
}

const maxTemplate = 64 << 10 // bytes

// compile parses a text in which nothing but fields is replaced. The fields of the
// notices the house sends are known; a notice of another name may bring any.
func compile(name, text string) (*template.Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("is longer than %d bytes", maxTemplate)
	}
	t, err := template.New(name).Option("missingkey=zero").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "template: "))
	}
	if len(t.Templates()) > 1 {
		return nil, fmt.Errorf("may contain placeholders only, not templates")
	}
	if t.Tree == nil { // an empty text
		return t, nil
	}
	for _, n := range t.Tree.Root.Nodes {
		field, ok := fieldOf(n)
		if !ok {
			return nil, fmt.Errorf("%s is not allowed; only placeholders such as {{.customer}} are", n)
		}
		if known := fields[name]; field != "" && known != nil && !slices.Contains(known, field) {
			return nil, fmt.Errorf("{{.%s}} is not known here; there are %s", field, strings.Join(known, ", "))
		}
	}
	return t, nil
}

// fieldOf is the field a node puts in, "" for plain text; ok is false for
// anything else.
func fieldOf(n parse.Node) (field string, ok bool) {
	switch n := n.(type) {
	case *parse.TextNode, *parse.CommentNode:
		return "", true
	case *parse.ActionNode:
		if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 1 {
			return "", false
		}
		f, isField := n.Pipe.Cmds[0].Args[0].(*parse.FieldNode)
		if !isField || len(f.Ident) != 1 {
			return "", false
		}
		return f.Ident[0], true
	}
	return "", false
}

// words is a template ready to be filled in.
type words struct{ subject, body string }

// find looks for the words of a notice: the tenant's in the language, ours in the
// language, the tenant's in English, ours in English.
func find(tx *store.Tx, name, channel, lang string) (words, error) {
	for _, l := range slices.Compact([]string{language(lang), "en"}) {
		t, err := Templates.Get(tx, name+"."+channel+"."+l)
		if err == nil {
			return words{t.Subject, t.Body}, nil
		}
		if !fault.Is(err, fault.NotFound) {
			return words{}, err
		}
		if w, ok := builtin[name][l]; ok {
			return w.in(channel), nil
		}
	}
	return words{}, fault.BadInput("noTemplate", "There is no template %q for %s, neither in %q nor in English", name, channel, lang)
}

// in is the words for a channel: a short message has no subject and no letter's form.
func (w words) in(channel string) words {
	if channel != SMS {
		return w
	}
	lines := strings.Split(w.body, "\n\n")
	if len(lines) > 2 { // salutation, message, closing
		return words{body: strings.Join(lines[1:len(lines)-1], " ")}
	}
	return words{body: w.body}
}

// fill puts the values in.
func (w words) fill(name string, values map[string]string) (subject, body string, err error) {
	if subject, err = fill(name, w.subject, values); err != nil {
		return "", "", err
	}
	body, err = fill(name, w.body, values)
	// A value may bring a line break; a header has none.
	return strings.Join(strings.Fields(subject), " "), body, err
}

func fill(name, text string, values map[string]string) (string, error) {
	if text == "" {
		return "", nil
	}
	t, err := compile(name, text)
	if err != nil {
		return "", fmt.Errorf("template %s: %w", name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		return "", fmt.Errorf("template %s: %w", name, err)
	}
	return b.String(), nil
}
