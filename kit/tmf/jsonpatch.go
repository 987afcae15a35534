package tmf

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A tree is a JSON document taken apart: map[string]any, []any, or a scalar as it
// was written (jsontext.Value), so that no digit of a number is lost.
type tree = any

func growTree(v jsontext.Value) (tree, error) {
	switch v.Kind() {
	case '{':
		var members map[string]jsontext.Value
		if err := json.Unmarshal(v, &members); err != nil {
			return nil, err
		}
		out := make(map[string]any, len(members))
		for name, m := range members {
			var err error
			if out[name], err = growTree(m); err != nil {
				return nil, err
			}
		}
		return out, nil
	case '[':
		var elements []jsontext.Value
		if err := json.Unmarshal(v, &elements); err != nil {
			return nil, err
		}
		out := make([]any, len(elements))
		for i, e := range elements {
			var err error
			if out[i], err = growTree(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return jsontext.Value(slices.Clone(v)), nil
}

func writeTree(t tree) ([]byte, error) { return json.Marshal(t, json.Deterministic(true)) }

// mergeInto is MergePatch of RFC 7396, section 2.
func mergeInto(target, patch tree) tree {
	members, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out, ok := target.(map[string]any)
	if !ok {
		out = map[string]any{}
	}
	for name, p := range members {
		if isNull(p) {
			delete(out, name)
			continue
		}
		out[name] = mergeInto(out[name], p)
	}
	return out
}

func isNull(t tree) bool {
	v, ok := t.(jsontext.Value)
	return ok && v.Kind() == 'n'
}

// patchOp is an operation of RFC 6902, section 4.
type patchOp struct {
	Op    string         `json:"op"`
	Path  *string        `json:"path"`
	From  *string        `json:"from"`
	Value jsontext.Value `json:"value"`
}

var (
	errTestFailed = errors.New("test failed")
	errTooLarge   = errors.New("too large")
)

// patcher applies operations to a document, whose growth by copies it limits.
type patcher struct {
	root   tree
	copied int
}

func (p *patcher) apply(op patchOp) error {
	if op.Path == nil {
		return errors.New("path is missing")
	}
	path, err := pointer(*op.Path)
	if err != nil {
		return err
	}
	switch op.Op {
	case "remove":
		_, err = p.remove(path)
		return err
	case "move", "copy":
		return p.carry(op, path)
	}
	if op.Value == nil {
		return errors.New("value is missing")
	}
	value, err := growTree(op.Value)
	if err != nil {
		return err
	}
	switch op.Op {
	case "add":
		return p.add(path, value)
	case "replace":
		if _, err := p.find(path); err != nil {
			return err
		}
		if len(path) > 0 {
			if _, err := p.remove(path); err != nil {
				return err
			}
		}
		return p.add(path, value)
	case "test":
		if have, err := p.find(path); err != nil || !sameTree(have, value) {
			return errTestFailed
		}
		return nil
	}
	return fmt.Errorf("there is no operation %q", op.Op)
}

// carry moves or copies.
func (p *patcher) carry(op patchOp, to []string) error {
	if op.From == nil {
		return errors.New("from is missing")
	}
	from, err := pointer(*op.From)
	if err != nil {
		return err
	}
	value, err := p.find(from)
	if err != nil {
		return err
	}
	if op.Op == "move" {
		if len(to) > len(from) && slices.Equal(to[:len(from)], from) {
			return errors.New("a value cannot be moved into itself")
		}
		if slices.Equal(to, from) {
			return nil
		}
		if _, err := p.remove(from); err != nil {
			return err
		}
		return p.add(to, value)
	}
	text, err := writeTree(value)
	if err != nil {
		return err
	}
	if p.copied += len(text); p.copied > maxBody {
		return errTooLarge
	}
	if value, err = growTree(text); err != nil {
		return err
	}
	return p.add(to, value)
}

// pointer takes a JSON Pointer apart (RFC 6901).
func pointer(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	if text[0] != '/' {
		return nil, errors.New("a path begins with /")
	}
	steps := strings.Split(text[1:], "/")
	for i, s := range steps {
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(s), "~") {
			return nil, errors.New("~ stands before 0 or 1 only")
		}
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
	}
	return steps, nil
}

var errNoPlace = errors.New("the path does not exist")

// index is an array index: digits without a leading zero (RFC 6901, section 4).
func index(text string, below int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n >= below || strconv.Itoa(n) != text {
		return 0, errNoPlace
	}
	return n, nil
}

func (p *patcher) find(path []string) (tree, error) {
	at := p.root
	for _, step := range path {
		switch x := at.(type) {
		case map[string]any:
			next, ok := x[step]
			if !ok {
				return nil, errNoPlace
			}
			at = next
		case []any:
			i, err := index(step, len(x))
			if err != nil {
				return nil, err
			}
			at = x[i]
		default:
			return nil, errNoPlace
		}
	}
	return at, nil
}

// within changes the object or array that holds the last step of a path; what
// change returns takes its place.
func (p *patcher) within(path []string, change func(holder tree, step string) (tree, error)) error {
	last := len(path) - 1
	holder, err := p.find(path[:last])
	if err != nil {
		return err
	}
	now, err := change(holder, path[last])
	if _, isArray := now.([]any); err != nil || !isArray {
		return err // an object was changed in its place
	}
	if last == 0 {
		p.root = now
		return nil
	}
	above, err := p.find(path[:last-1])
	if err != nil {
		return err
	}
	switch x := above.(type) {
	case map[string]any:
		x[path[last-1]] = now
	case []any:
		i, err := index(path[last-1], len(x))
		if err != nil {
			return err
		}
		x[i] = now
	}
	return nil
}

func (p *patcher) add(path []string, value tree) error {
	if len(path) == 0 {
		p.root = value
		return nil
	}
	return p.within(path, func(holder tree, step string) (tree, error) {
		switch x := holder.(type) {
		case map[string]any:
			x[step] = value
			return x, nil
		case []any:
			if step == "-" {
				return append(x, value), nil
			}
			i, err := index(step, len(x)+1)
			if err != nil {
				return nil, err
			}
			return slices.Insert(x, i, value), nil
		}
		return nil, errNoPlace
	})
}

func (p *patcher) remove(path []string) (was tree, err error) {
	if len(path) == 0 {
		return nil, errors.New("the whole document cannot be removed")
	}
	err = p.within(path, func(holder tree, step string) (tree, error) {
		switch x := holder.(type) {
		case map[string]any:
			if _, ok := x[step]; !ok {
				return nil, errNoPlace
			}
			was = x[step]
			delete(x, step)
			return x, nil
		case []any:
			i, err := index(step, len(x))
			if err != nil {
				return nil, err
			}
			was = x[i]
			return slices.Delete(x, i, i+1), nil
		}
		return nil, errNoPlace
	})
	return was, err
}

// sameTree is equality as RFC 6902, section 4.6, has it.
func sameTree(a, b tree) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for name, v := range x {
			if w, ok := y[name]; !ok || !sameTree(v, w) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, sameTree)
	}
	x := a.(jsontext.Value)
	y, ok := b.(jsontext.Value)
	switch {
	case !ok || x.Kind() != y.Kind():
		return false
	case x.Kind() == '"':
		return unquoted(x) == unquoted(y)
	case x.Kind() == '0':
		return sameNumber(string(x), string(y))
	}
	return true // null, true, false are their kinds
}

// unquoted is the text of a JSON string, "" if it is not well formed, which no
// decoder lets in.
func unquoted(v jsontext.Value) string {
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return ""
	}
	return string(b)
}

// sameNumber compares whole numbers digit by digit and others as doubles.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	if !strings.ContainsAny(a+b, ".eE") {
		return strings.TrimPrefix(a, "-") == "0" && strings.TrimPrefix(b, "-") == "0"
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x == y && !math.IsInf(x, 0)
}
