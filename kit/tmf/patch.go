package tmf

import (
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
)

const (
	maxPatchOps = 200
	maxDocument = 4 * maxBody // bytes of a resource
)

// patchRequest is a PATCH as it came: its media type decides what it means.
type patchRequest struct {
	body    []byte
	isOps   bool   // RFC 6902, else RFC 7396
	ifMatch string // "" for none
}

// patchType reads the Content-Type of a PATCH (TMF630 Part 1: merge-patch and
// plain JSON are RFC 7396; json-patch is RFC 6902).
func patchType(contentType string) (isOps bool, err error) {
	mt, _, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && (mt == "application/merge-patch+json" || mt == "application/json"):
		return false, nil
	case err == nil && mt == "application/json-patch+json":
		return true, nil
	}
	return false, fault.New(fault.Unsupported, "unsupportedMediaType",
		"PATCH takes application/merge-patch+json, application/json or application/json-patch+json")
}

// apply makes the document that the patch asks for.
func (p patchRequest) apply(doc []byte) ([]byte, error) {
	if err := sound(p.body); err != nil {
		return nil, err
	}
	if p.isOps {
		return applyOps(doc, p.body)
	}
	if jsontext.Value(p.body).Kind() != '{' {
		return nil, fault.BadInput("badPatch", "A merge patch is a JSON object")
	}
	target, err := growTree(doc)
	if err != nil {
		return nil, err
	}
	patch, err := growTree(p.body)
	if err != nil {
		return nil, err
	}
	return finished(mergeInto(target, patch))
}

// finished writes a patched document, which is an object and not without end.
func finished(t tree) ([]byte, error) {
	if _, ok := t.(map[string]any); !ok {
		return nil, fault.BadInput("badPatch", "The patch does not leave a JSON object")
	}
	out, err := writeTree(t)
	if len(out) > maxDocument {
		return nil, fault.New(fault.TooLarge, "resourceTooLarge", "With this patch the resource has more than %d bytes", maxDocument)
	}
	return out, err
}

func applyOps(doc, body []byte) ([]byte, error) {
	var ops []patchOp
	if jsontext.Value(body).Kind() != '[' || json.Unmarshal(body, &ops) != nil {
		return nil, fault.BadInput("badPatch", "A JSON patch is an array of operations with op and path")
	}
	if len(ops) > maxPatchOps {
		return nil, fault.BadInput("badPatch", "A JSON patch has at most %d operations", maxPatchOps)
	}
	root, err := growTree(doc)
	if err != nil {
		return nil, err
	}
	p := &patcher{root: root}
	for i, op := range ops {
		switch err := p.apply(op); {
		case errors.Is(err, errTestFailed):
			return nil, fault.Clash("testFailed", "The test of operation %d of the patch failed; nothing was changed", i+1)
		case errors.Is(err, errTooLarge):
			return nil, fault.New(fault.TooLarge, "resourceTooLarge", "The patch copies more than %d bytes", maxBody)
		case err != nil:
			return nil, fault.BadInput("badPatch", "Operation %d of the patch cannot be applied: %v", i+1, err)
		}
	}
	return finished(p.root)
}

// frozen are attributes no client may patch, besides those of the Kind.
var frozen = []string{"id", "href"}

// keepsFrozen refuses a patched document in which an attribute changed that
// belongs to the server. @type may not change either: it is the class.
func keepsFrozen(before, after []byte, names []string) error {
	var old, now map[string]jsontext.Value
	if err := errors.Join(json.Unmarshal(before, &old), json.Unmarshal(after, &now)); err != nil {
		return fault.BadInput("badPatch", "The patch does not leave a JSON object")
	}
	for _, n := range append(append([]string{"@type"}, frozen...), names...) {
		if !sameJSON(old[n], now[n]) {
			return fault.BadInput("notPatchable", "%s is set by the server and cannot be changed", n)
		}
	}
	return nil
}

func sameJSON(a, b jsontext.Value) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	x, y := a.Clone(), b.Clone()
	if x.Canonicalize() != nil || y.Canonicalize() != nil {
		return string(a) == string(b)
	}
	return string(x) == string(y)
}

// etag is the entity tag of a revision.
func etag(rev int64) string { return fmt.Sprintf(`"%d"`, rev) }

// checkMatch obeys If-Match (RFC 9110 section 13.1.1); weak tags never match.
func checkMatch(header string, rev int64) error {
	if header == "" || header == "*" {
		return nil
	}
	for _, tag := range strings.Split(header, ",") {
		if strings.TrimSpace(tag) == etag(rev) {
			return nil
		}
	}
	return fault.New(fault.Precondition, "preconditionFailed", "The resource has changed: its ETag is now %s", etag(rev))
}
