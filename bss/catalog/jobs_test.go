package catalog_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"tandem/bss/catalog"
	"tandem/kit/transfer"
)

// What is exported can be imported elsewhere, retired offerings and references
// in both directions included, and is exported there the same.
func TestExportIsImportedAsItIs(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.load("acme")
		first := r.export("acme", `{"contentType":"application/x-ndjson","url":"/transfer/first.ndjson"}`)
		if len(first) != 18 {
			t.Fatalf("%d resources exported", len(first))
		}
		if err := os.Mkdir(filepath.Join(r.folder, "beta"), 0o755); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, doc := range first {
			all = append(all, marshal(t, doc))
		}
		if err := os.WriteFile(filepath.Join(r.folder, "beta", "in.ndjson"), []byte(strings.Join(all, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		job := r.job("beta", "importJob", `{"path":"in.ndjson"}`)
		if job["status"] != transfer.Succeeded || job["loaded"] != 18.0 || job["completionDate"] == nil {
			t.Fatalf("import: %v", job)
		}
		second := r.export("beta", `{"url":"/transfer/second.json"}`)
		for id, doc := range first {
			delete(doc, "lastUpdate")
			delete(second[id], "lastUpdate")
			if a, b := marshal(t, doc), marshal(t, second[id]); a != b {
				t.Errorf("%s\n was %s\n  is %s", id, a, b)
			}
		}
		if again := r.job("beta", "importJob", `{"path":"in.ndjson"}`); again["status"] != transfer.Succeeded {
			t.Errorf("the same import again: %v", again)
		}
	})
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// export runs a job and fetches its file through the route.
func (r *room) export(tenant, body string) map[string]map[string]any {
	r.t.Helper()
	job := r.job(tenant, "exportJob", body)
	if job["status"] != transfer.Succeeded {
		r.t.Fatalf("export: %v", job)
	}
	answer := r.fetch(tenant, job["url"].(string))
	if answer.Code != http.StatusOK {
		r.t.Fatalf("fetch %v: %d %s", job["url"], answer.Code, answer.Body)
	}
	text := answer.Body.String()
	if strings.HasSuffix(job["url"].(string), ".ndjson") {
		text = "[" + strings.ReplaceAll(strings.TrimSpace(text), "\n", ",") + "]"
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		r.t.Fatal(err)
	}
	out := map[string]map[string]any{}
	for _, doc := range list {
		out[fmt.Sprint(doc["@type"], " ", doc["id"])] = doc
	}
	if float64(len(out)) != job["written"] {
		r.t.Errorf("%d resources in the file, %v written", len(out), job["written"])
	}
	return out
}

func (r *room) fetch(tenant, path string) *httptest.ResponseRecorder {
	h := transfer.Handler(r.folder, func(*http.Request) (string, error) { return tenant, nil })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestImportIsAllOrNothing(t *testing.T) {
	rules := []struct{ rule, content, log string }{
		{"a rule broken undoes everything", `[{"@type":"Category","id":"a","name":"a"},{"@type":"Category","id":"b"}]`, "resource 2: name is required"},
		{"a dangling reference undoes everything", `[{"@type":"Category","id":"a","name":"a"},{"@type":"Category","id":"b","name":"b","parentId":"none"}]`, "resource 2: parentId: there is no category"},
		{"a cycle undoes everything", `[{"@type":"Category","id":"a","name":"a","parentId":"b"},{"@type":"Category","id":"b","name":"b","parentId":"a"}]`, "would contain itself"},
		{"a resource says what it is", `[{"id":"a","name":"a"}]`, "resource 1: the resource does not name its class"},
		{"it is of this catalogue", `[{"@type":"Customer","name":"a"}]`, `resource 1: @type "Customer"`},
		{"it is an object", `[7]`, "resource 1: this is not a resource"},
		{"a state that cannot be reached is refused", `[{"@type":"Category","id":"a","name":"a","lifecycleStatus":"Gone"}]`, "resource 1: A new category cannot begin"},
		{"a wrong type is named", `[{"@type":"Category","id":"a","name":[1]}]`, "resource 1: /name has a value of the wrong type"},
	}
	each(t, func(t *testing.T, r *room) {
		for _, rule := range rules {
			t.Run(rule.rule, func(t *testing.T) {
				r := r.as(t)
				job := r.job("acme", "importJob", `{"content":`+rule.content+`}`)
				if log, _ := job["errorLog"].(string); job["status"] != transfer.Failed || !strings.Contains(log, rule.log) {
					t.Errorf("%v, want %q", job, rule.log)
				}
				if job["content"] != nil {
					t.Errorf("the content is kept: %v", job["content"])
				}
				r.do(404, "GET", "category/a", "")
			})
		}
	})
}

func TestErrorsInFilesNameTheLine(t *testing.T) {
	files := []struct{ rule, text, log string }{
		{"a rule broken in an array", "[\n{\"@type\":\"Category\",\"name\":\"a\"},\n\n{\"@type\":\"Category\"}]", "line 4: name is required"},
		{"a rule broken in NDJSON", "{\"@type\":\"Category\",\"name\":\"a\"}\n{\"@type\":\"Category\"}\n", "line 2: name is required"},
		{"a dangling reference", "{\"@type\":\"Category\",\"id\":\"a\",\"name\":\"a\"}\n{\"@type\":\"Category\",\"name\":\"b\",\"parentId\":\"none\"}", "line 2: parentId"},
		{"broken JSON", "{\"@type\":\"Category\",\"name\":\"a\"}\n{\"@type\":", "line 2: this is not valid JSON"},
		{"an array that does not end", "[{\"@type\":\"Category\",\"name\":\"a\"}\n", "this is not valid JSON"},
		{"text after the array", "[]\n[]", "line 2: this is not valid JSON"},
		{"an attribute twice", "{\"@type\":\"Category\",\"name\":\"a\",\"name\":\"b\"}", "line 1: this is not valid JSON"},
		{"a NUL character", "{\"@type\":\"Category\",\"name\":\"a\\u0000\"}", "line 1: the resource contains a NUL"},
	}
	each(t, func(t *testing.T, r *room) {
		if err := os.MkdirAll(filepath.Join(r.folder, "acme"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			t.Run(f.rule, func(t *testing.T) {
				r := r.as(t)
				if err := os.WriteFile(filepath.Join(r.folder, "acme", "in"), []byte(f.text), 0o600); err != nil {
					t.Fatal(err)
				}
				job := r.job("acme", "importJob", `{"path":"in"}`)
				if log, _ := job["errorLog"].(string); job["status"] != transfer.Failed || !strings.Contains(log, f.log) {
					t.Errorf("%v, want %q", job, f.log)
				}
			})
		}
		if list := r.Do("acme", "GET", base+"category", nil); string(list.Body) != "[]" {
			t.Errorf("something was left: %s", list.Body)
		}
	})
}

func TestImportReadsOnlyWhereItMay(t *testing.T) {
	posts := []struct{ rule, body, code string }{
		{"there must be a source", `{}`, "mandatoryAttributeMissing"},
		{"one source is enough", `{"path":"a.json","content":[]}`, "ambiguousSource"},
		{"no way up", `{"path":"../secret.json"}`, "invalidPath"},
		{"no way up in between", `{"path":"a/../../secret.json"}`, "invalidPath"},
		{"no way from the root", `{"path":"/etc/passwd"}`, "invalidPath"},
		{"no file by url", `{"url":"file:///etc/passwd"}`, "invalidUrl"},
		{"no way up by url", `{"url":"/transfer/../secret.json"}`, "invalidPath"},
		{"no other servers unless allowed", `{"url":"http://127.0.0.1/x"}`, "urlNotAllowed"},
		{"content is resources", `{"content":"text"}`, "invalidContent"},
		{"a type of content that is known", `{"path":"a.xml","contentType":"text/xml"}`, "unsupportedContentType"},
	}
	each(t, func(t *testing.T, r *room) {
		for _, p := range posts {
			t.Run(p.rule, func(t *testing.T) { r.as(t).refused(400, p.code, "POST", "importJob", p.body) })
		}
		secret := filepath.Join(t.TempDir(), "secret.json")
		if err := os.WriteFile(secret, []byte(`[]`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(r.folder, "acme"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(secret, filepath.Join(r.folder, "acme", "link.json")); err != nil {
			t.Fatal(err)
		}
		if job := r.job("acme", "importJob", `{"path":"link.json"}`); job["status"] != transfer.Failed {
			t.Errorf("a link led out of the folder: %v", job)
		}
		for _, path := range []string{"/transfer/link.json", "/transfer/../secret.json", "/transfer/", "/transfer/.x"} {
			if got := r.fetch("acme", path); got.Code != http.StatusNotFound {
				t.Errorf("%s: %d", path, got.Code)
			}
		}
	})
}

func TestExportCoversWhatIsAsked(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.load("acme")
		if got := r.export("acme", `{"path":"/tmf-api/productCatalogManagement/v4/productOffering","query":"lifecycleStatus=Retired","url":"/transfer/retired.json"}`); len(got) != 1 || got["ProductOffering tandem-old"] == nil {
			t.Errorf("retired offerings: %v", got)
		}
		r.refused(400, "invalidPath", "POST", "exportJob", `{"path":"customer","url":"/transfer/x.json"}`)
		r.refused(400, "invalidQuery", "POST", "exportJob", `{"query":"colour=red","url":"/transfer/x.json"}`)
		if got := r.export("empty", `{"url":"/transfer/empty.json"}`); len(got) != 0 {
			t.Errorf("an empty catalogue: %v", got)
		}
		for _, u := range []string{"http://example.com/x.json", "/transfer/../beta/x.json", "/transfer/.hidden.json", "/transfer/a/x.json", "/transfer/x", "x.json"} {
			r.refused(400, "invalidUrl", "POST", "exportJob", `{"url":"`+u+`"}`)
		}
		r.refused(400, "mandatoryAttributeMissing", "POST", "exportJob", `{}`)
		r.refused(400, "unsupportedContentType", "POST", "exportJob", `{"url":"/transfer/x.json","contentType":"application/x-ndjson"}`)
		r.refused(409, "fileExists", "POST", "exportJob", `{"url":"/transfer/retired.json"}`)
		if err := os.WriteFile(filepath.Join(r.folder, "acme", "mine.json"), []byte("[]"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.refused(409, "fileExists", "POST", "exportJob", `{"url":"/transfer/mine.json"}`)
		job := r.job("acme", "exportJob", `{"url":"/transfer/all.json"}`)
		if other := r.fetch("beta", job["url"].(string)); other.Code != http.StatusNotFound {
			t.Errorf("another tenant fetched the file: %d", other.Code)
		}
		r.do(204, "DELETE", "exportJob/"+job["id"].(string), "")
		if gone := r.fetch("acme", job["url"].(string)); gone.Code != http.StatusNotFound {
			t.Errorf("the file of a deleted job is there: %d", gone.Code)
		}
		r.do(405, "PATCH", "exportJob/x", `{}`)
	})
}

func TestImportByHTTPObeysThePolicy(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		mux := http.NewServeMux()
		mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"@type":"Category","id":"web","name":"from the web"}`)
		})
		mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://forbidden.example/", http.StatusFound)
		})
		mux.HandleFunc("/gone", http.NotFound)
		srv := httptest.NewServer(mux)
		defer srv.Close()
		r.allow(func(u string) error {
			if strings.HasPrefix(u, srv.URL) {
				return nil
			}
			return fmt.Errorf("only the test server")
		})
		for path, want := range map[string]string{"/ok": transfer.Succeeded, "/away": transfer.Failed, "/gone": transfer.Failed} {
			if job := r.job("acme", "importJob", `{"url":"`+srv.URL+path+`"}`); job["status"] != want {
				t.Errorf("%s: %v", path, job)
			}
		}
		r.do(200, "GET", "category/web", "")
	})
}

// allow changes the policy of the room's jobs; they have a runner of their own.
func (r *room) allow(policy func(string) error) {
	r.t.Helper()
	r.runner.Stop()
	r.runner = newRunner(r.db)
	catalog.Jobs.Run(r.runner, r.db, transfer.Config{Folder: r.folder, Allow: policy})
	if err := r.runner.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(r.runner.Stop)
}
