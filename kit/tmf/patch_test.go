package tmf

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// The examples of RFC 7396, Appendix A, whose patch and target are objects.
func TestMergePatchAsInTheRFC(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"a":1}`, `{"a":{"b":null,"c":1}}`, `{"a":{"c":1}}`},
		{`{"a":[1]}`, `{"a":{"b":null}}`, `{"a":{}}`},
		{`{"a":[1,null]}`, `{"b":[{"c":null},null]}`, `{"a":[1,null],"b":[{"c":null},null]}`},
		{`{"n":12345678901234567890.50}`, `{"m":98765432109876543210.10}`, `{"n":12345678901234567890.50,"m":98765432109876543210.10}`},
		{`{"":1,"a/b":2}`, `{"":null,"~1":3}`, `{"a/b":2,"~1":3}`},
		{`{"t":"<&>\u2028"}`, `{"u":"</script>"}`, `{"t":"<&>\u2028","u":"</script>"}`},
		{`{"a":1}`, `{}`, `{"a":1}`},
	} {
		got, err := patchRequest{body: []byte(c[1])}.apply([]byte(c[0]))
		if err != nil || !sameJSON(got, []byte(c[2])) {
			t.Errorf("%s patched by %s is %s, %v; want %s", c[0], c[1], got, err, c[2])
		}
		if err == nil && strings.Contains(c[2], ".50") && (!strings.Contains(string(got), "12345678901234567890.50") || !strings.Contains(string(got), "98765432109876543210.10")) {
			t.Errorf("digits are lost: %s", got)
		}
	}
	for _, patch := range []string{`["c"]`, `null`, `"bar"`, `1`, ``, `{`, `{"a":1}{}`, `{"a":1,"a":2}`, "{\"a\":\"\xff\"}", `{"a":"\u0000"}`} {
		if got, err := (patchRequest{body: []byte(patch)}).apply([]byte(`{"a":"b"}`)); err == nil {
			t.Errorf("%q gives %s", patch, got)
		} else {
			refusal(t, err)
		}
	}
}

// The examples of RFC 6902, Appendix A, and what lies at its edges. An empty result
// means that the patch is refused and nothing of it done.
func TestJSONPatchAsInTheRFC(t *testing.T) {
	for _, c := range []struct{ rule, doc, patch, want string }{
		{"A.1 add a member", `{"foo":"bar"}`, `[{"op":"add","path":"/baz","value":"qux"}]`, `{"baz":"qux","foo":"bar"}`},
		{"A.2 add an element", `{"foo":["bar","baz"]}`, `[{"op":"add","path":"/foo/1","value":"qux"}]`, `{"foo":["bar","qux","baz"]}`},
		{"A.3 remove a member", `{"baz":"qux","foo":"bar"}`, `[{"op":"remove","path":"/baz"}]`, `{"foo":"bar"}`},
		{"A.4 remove an element", `{"foo":["bar","qux","baz"]}`, `[{"op":"remove","path":"/foo/1"}]`, `{"foo":["bar","baz"]}`},
		{"A.5 replace a value", `{"baz":"qux","foo":"bar"}`, `[{"op":"replace","path":"/baz","value":"boo"}]`, `{"baz":"boo","foo":"bar"}`},
		{"A.6 move a value", `{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}`, `[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]`,
			`{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}`},
		{"A.7 move an element", `{"foo":["all","grass","cows","eat"]}`, `[{"op":"move","from":"/foo/1","path":"/foo/3"}]`, `{"foo":["all","cows","eat","grass"]}`},
		{"A.8 test succeeds", `{"baz":"qux","foo":["a",2,"c"]}`, `[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]`, `{"baz":"qux","foo":["a",2,"c"]}`},
		{"A.9 test fails", `{"baz":"qux"}`, `[{"op":"test","path":"/baz","value":"bar"}]`, ``},
		{"A.10 add a nested object", `{"foo":"bar"}`, `[{"op":"add","path":"/child","value":{"grandchild":{}}}]`, `{"foo":"bar","child":{"grandchild":{}}}`},
		{"A.11 unknown members are ignored", `{"foo":"bar"}`, `[{"op":"add","path":"/baz","value":"qux","xyz":123}]`, `{"foo":"bar","baz":"qux"}`},
		{"A.12 add below nothing", `{"foo":"bar"}`, `[{"op":"add","path":"/baz/bat","value":"qux"}]`, ``},
		{"A.13 an operation is named once", `{"foo":"bar"}`, `[{"op":"add","path":"/baz","value":"qux","op":"remove"}]`, ``},
		{"A.14 ~ is escaped", `{"/":9,"~1":10}`, `[{"op":"test","path":"/~01","value":10}]`, `{"/":9,"~1":10}`},
		{"A.15 a number is no string", `{"/":9,"~1":10}`, `[{"op":"test","path":"/~01","value":"10"}]`, ``},
		{"A.16 add an array value", `{"foo":["bar"]}`, `[{"op":"add","path":"/foo/-","value":["abc","def"]}]`, `{"foo":["bar",["abc","def"]]}`},
		{"replace what is not there", `{"a":1}`, `[{"op":"replace","path":"/b","value":1}]`, ``},
		{"remove what is not there", `{"a":1}`, `[{"op":"remove","path":"/b"}]`, ``},
		{"an index beyond the end", `{"a":[1]}`, `[{"op":"add","path":"/a/2","value":1}]`, ``},
		{"an index from behind", `{"a":[1,2]}`, `[{"op":"remove","path":"/a/-1"}]`, ``},
		{"an index with a zero before", `{"a":[1,2]}`, `[{"op":"remove","path":"/a/01"}]`, ``},
		{"an index that is a word", `{"a":[1,2]}`, `[{"op":"remove","path":"/a/x"}]`, ``},
		{"a path without slash", `{"a":1}`, `[{"op":"remove","path":"a"}]`, ``},
		{"no path", `{"a":1}`, `[{"op":"remove"}]`, ``},
		{"no value", `{"a":1}`, `[{"op":"add","path":"/b"}]`, ``},
		{"no op", `{"a":1}`, `[{"path":"/b"}]`, ``},
		{"another op", `{"a":1}`, `[{"op":"increment","path":"/a","value":1}]`, ``},
		{"move into itself", `{"a":{"b":1}}`, `[{"op":"move","from":"/a","path":"/a/b"}]`, ``},
		{"test what is not there for null", `{"a":1}`, `[{"op":"test","path":"/b","value":null}]`, ``},
		{"test null", `{"a":null}`, `[{"op":"test","path":"/a","value":null}]`, `{"a":null}`},
		{"numbers are compared as numbers", `{"a":1.0}`, `[{"op":"test","path":"/a","value":1}]`, `{"a":1.0}`},
		{"test a deep value in another order", `{"a":{"x":1,"y":[1,{"z":null}]}}`, `[{"op":"test","path":"/a","value":{"y":[1,{"z":null}],"x":1}}]`, `{"a":{"x":1,"y":[1,{"z":null}]}}`},
		{"add null", `{"a":1}`, `[{"op":"add","path":"/b","value":null}]`, `{"a":1,"b":null}`},
		{"copy", `{"a":[1]}`, `[{"op":"copy","from":"/a","path":"/b"},{"op":"add","path":"/b/-","value":2}]`, `{"a":[1],"b":[1,2]}`},
		{"all or nothing", `{"a":1}`, `[{"op":"replace","path":"/a","value":2},{"op":"remove","path":"/b"}]`, ``},
		{"no list", `{"a":1}`, `{"op":"remove","path":"/a"}`, ``},
		{"nothing to do", `{"a":1}`, `[]`, `{"a":1}`},
		{"too many", `{"a":1}`, `[` + strings.TrimSuffix(strings.Repeat(`{"op":"test","path":"/a","value":1},`, maxPatchOps+1), ",") + `]`, ``},
		{"a copy that doubles and doubles", `{"a":"` + strings.Repeat("x", 1000) + `"}`, `[{"op":"add","path":"/l","value":[]},` + strings.TrimSuffix(strings.Repeat(`{"op":"copy","from":"/a","path":"/l/-"},{"op":"copy","from":"/l","path":"/a"},`, 90), ",") + `]`, ``},
	} {
		got, err := patchRequest{body: []byte(c.patch), isOps: true}.apply([]byte(c.doc))
		switch {
		case c.want == "" && err == nil:
			t.Errorf("%s: gives %.300s", c.rule, got)
		case c.want == "":
			refusal(t, err)
		case err != nil || !sameJSON(got, []byte(c.want)):
			t.Errorf("%s: %s, %v; want %s", c.rule, got, err, c.want)
		}
	}
}

// FuzzPatch: whatever comes in, it is refused in words, or leaves a sound document
// that is no larger than both together allow.
func FuzzPatch(f *testing.F) {
	for _, s := range []string{`{"a":null}`, `{"a":{"b":[1]}}`, `[{"op":"add","path":"/a/-","value":1}]`, `[{"op":"copy","from":"","path":"/a"}]`, `[{"op":"move","from":"/a","path":""}]`,
		`[{"op":"test","path":"","value":{}}]`, `[{"op":"remove","path":""}]`, `[{"op":"replace","path":"","value":null}]`, `[null]`, `[{"op":null,"path":null}]`, `[{"op":"add","path":"/a/9223372036854775808","value":1}]`,
		`[{"op":"test","path":"/a/b/c"}]`, `{`, `[`, "\xff", `{"a":"\ud800"}`} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, isOps bool) {
		doc := []byte(`{"id":"1","a":[1,{"b":"c"}],"n":1.50,"o":{"p":null},"":"x"}`)
		was := string(doc)
		out, err := patchRequest{body: body, isOps: isOps}.apply(doc)
		if string(doc) != was {
			t.Fatalf("%q changed the stored document", body)
		}
		if err != nil {
			refusal(t, err)
			return
		}
		if !jsontext.Value(out).IsValid() || jsontext.Value(out).Kind() != '{' {
			t.Fatalf("%q leaves %q", body, out)
		}
		if err := decodeInput(out, &gadget{}); err != nil {
			refusal(t, err)
		}
		if err := keepsFrozen(doc, out, []string{"n"}); err != nil {
			refusal(t, err)
		}
	})
}

// FuzzDecode: a body is refused in words, or is decoded, encoded and decoded again
// to the same; nothing of it is lost.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"name":"a","made":"2026-01-01T00:00:00Z","size":1,"big":false}`, `{"any":[1,{"a":null}],"x":1e400}`, `{"parts":[{"id":"a","v":null}],"@type":"X"}`,
		`{"name":null}`, `{"made":""}`, `{"size":1.0}`, `{"size":99999999999999999999}`, `{"validFor":{"startDateTime":"2026-13-01T00:00:00Z"}}`, `{"parts":{}}`, `[]`, `""`, `{"a":"\ud83d\ude00"}`,
		`{"name":"\ud800"}`, "{\"a\":\"\u0000\"}", `{"":{"":{"":[]}}}`, `{"a":1,"a":2}`, `{"made":"2026-01-01T00:00:00.123456789+14:00"}`, `{"made":"9999-12-31T23:59:59-12:00"}`, `{"made":"0000-01-01T00:00:00+01:00"}`, `{"count":0}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := sound(body)
		if err != nil {
			refusal(t, err)
			return
		}
		if !jsontext.Value(body).IsValid() {
			t.Fatalf("%q is called sound", body)
		}
		g := &gadget{}
		if err := decodeInput(body, g); err != nil {
			refusal(t, err)
			return
		}
		once, err := encode(g)
		if err != nil {
			t.Fatalf("%q is taken and cannot be written: %v", body, err)
		}
		again := &gadget{}
		if err := decode(once, again); err != nil {
			t.Fatalf("%q is written as %q, which cannot be read: %v", body, once, err)
		}
		twice, err := encode(again)
		if err != nil || string(once) != string(twice) {
			t.Fatalf("%q is written as %q and then as %q, %v", body, once, twice, err)
		}
		gadgets.ready().values(g)
		gadgets.ready().multiValues(g)
	})
}

// FuzzHubQuery: the query of a subscription is refused in words or obeyed.
func FuzzHubQuery(f *testing.F) {
	for _, s := range []string{"eventType=GadgetCreateEvent", "event.gadget.name=a&fields=event.gadget.id", "eventType.ne=x", "eventType.regex=.", "event.gadget.made.gt=2026-01-01T00:00:00Z",
		"event.=1", "event=1", "event.gadget=1", "event.other.name=1", "eventType>=a", "sort=eventType", "event.gadget.parts.n=1", "eventType=a;eventType=b", "fields=none"} {
		f.Add(s)
	}
	h := &Hub{byAPI: map[string][]Mounted{"TEST": {&gadgets}}}
	e := event{kind: "gadget", resource: "1", rev: 1, op: opCreate, meta: gadgets.Meta(), payload: []byte(`{"id":"1","name":"a","size":3,"parts":[{"n":1}]}`)}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := parseQuery(query, h.resolver("TEST"))
		if err != nil {
			refusal(t, err)
			return
		}
		e.wanted(q)
		if body, err := e.body(q); err != nil || !jsontext.Value(body).IsValid() {
			t.Fatalf("%q: %q, %v", query, body, err)
		}
	})
}

// The query of a subscription says which events are wanted (TMF630 Part 1; point 32).
func TestWhichEventsAreWanted(t *testing.T) {
	h := &Hub{byAPI: map[string][]Mounted{"TEST": {&gadgets}}}
	e := event{kind: "gadget", resource: "1", rev: 1, op: opState, meta: gadgets.Meta(), payload: []byte(`{"id":"1","name":"a","size":3,"parts":[{"n":1}]}`)}
	for query, want := range map[string]bool{
		"": true, "eventType=GadgetStateChangeEvent": true, "eventType=GadgetCreateEvent": false, "eventType=GadgetCreateEvent,GadgetStateChangeEvent": true,
		"eventType.ne=GadgetCreateEvent": true, "eventType.ne=GadgetStateChangeEvent": false, "eventType*=State": true, "eventType*=Delete": false,
		"event.gadget.name=a": true, "event.gadget.name=b": false, "event.gadget.size.gte=3": true, "event.gadget.size%3E3": false, "event.gadget.parts.n=1": true,
		"eventType=GadgetStateChangeEvent&event.gadget.name=b": false, "fields=event.gadget.id": true,
	} {
		q, err := parseQuery(query, h.resolver("TEST"))
		if err != nil || e.wanted(q) != want {
			t.Errorf("%s: wanted %v, %v", query, e.wanted(q), err)
		}
	}
	e.meta.Events = EventNames{Change: "ChangeEvent", State: "StatusChangeEvent"}
	for op, want := range map[string]string{opCreate: "GadgetCreateEvent", opChange: "GadgetChangeEvent", opState: "GadgetStatusChangeEvent", opDelete: "GadgetDeleteEvent"} {
		if e.op = op; e.eventType() != want {
			t.Errorf("%s is called %s, want %s", op, e.eventType(), want)
		}
	}
}
