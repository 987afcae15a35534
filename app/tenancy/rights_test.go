package tenancy

import (
	"strings"
	"testing"

	"tandem/kit/store"
)

// role makes a token of alpha's with the permissions given as "API kind verb".
func (r *rig) role(id string, permissions ...string) who {
	r.Helper()
	all := []any{}
	for _, p := range permissions {
		f := strings.Fields(p)
		all = append(all, map[string]any{"api": f[0], "kind": f[1], "verbs": f[2:]})
	}
	r.must(200, who{r, superuser, ""}.do("PUT", "/access/v1/roles/"+id, map[string]any{"title": id, "permissions": all}))
	return r.admin("alpha", id, id)
}

// audited finds the lines of alpha's audit about an action.
func (r *rig) audited(action string) (out []map[string]any) {
	r.Helper()
	for _, e := range r.must(200, who{r, superuser, ""}.do("GET", "/access/v1/audit?limit=1000", nil)).list() {
		if e["action"] == action {
			out = append(out, e)
		}
	}
	return out
}

// Who may only look opens, ends and sends nothing: that is for its owner, and for who
// has the right to hubs.
func TestWhoMayOnlyReadDoesNotTouchSubscriptions(t *testing.T) {
	each(t, func(r *rig) {
		const hubs = "/tmf-api/party/v4/hub"
		l := newListener(t)
		body := map[string]any{"callback": l.url + "/x?key=hidden-word"}
		reader, boss := r.admin("alpha", "looks", "reader"), r.admin("alpha", "boss")
		owner, other := r.role("listens", "TMF632 * read", "TMF632 hub create"), r.role("listens-too", "TMF632 * read", "TMF632 hub create")
		r.must(403, reader.do("POST", hubs, body))
		href := r.must(201, owner.do("POST", hubs, body)).object()["href"].(string)
		id := href[strings.LastIndexByte(href, '/')+1:]
		err := r.app.DB.Write(r.Context(), store.Scope{Tenant: "alpha", Actor: "test"}, func(tx *store.Tx) error {
			tx.Queue(`INSERT INTO tmf_dead_letter (tenant, hub, seq, event, error, attempts, at) VALUES ($1, $2, 7, '{"event":{"individual":{}}}', 'x', 1, 1)`, id)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range []who{reader, other} {
			r.must(200, w.do("GET", href+"/deadLetter", nil))
			r.must(403, w.do("POST", href+"/deadLetter/7/redeliver", nil))
			r.must(403, w.do("DELETE", href, nil))
		}
		r.must(204, owner.do("POST", href+"/deadLetter/7/redeliver", nil))
		r.must(204, owner.do("DELETE", href, nil))
		href = r.must(201, owner.do("POST", hubs, body)).object()["href"].(string)
		r.must(204, boss.do("DELETE", href, nil))
		for action, by := range map[string]string{"hub.create": "token:listens token:listens", "hub.redeliver": "token:listens", "hub.delete": "token:listens token:boss"} {
			var who []string
			for _, e := range r.audited(action) {
				who = append(who, e["actor"].(string))
			}
			if got := strings.Join(who, " "); got != by {
				t.Errorf("the audit has %s by %q, want %q", action, got, by)
			}
		}
		if strings.Contains(r.stored("access_audit", "coalesce(before, after)"), "hidden-word") {
			t.Error("what stands behind the ? of a callback is in the audit")
		}
	})
}

// Files of a catalogue are no way around the rights to its resources: neither to take
// them out, nor to bring them in, nor to read what others took out.
func TestTransferDoesWhatItsActorMayDo(t *testing.T) {
	each(t, func(r *rig) {
		const base = "/tmf-api/productCatalogManagement/v4/"
		boss := r.admin("alpha", "boss")
		r.must(201, boss.do("POST", base+"category", map[string]any{"id": "c", "name": "C"}))
		r.must(201, boss.do("POST", base+"exportJob", map[string]any{"url": "/transfer/all.json"}))
		r.must(201, boss.do("POST", base+"exportJob", map[string]any{"url": "/transfer/categories.json", "path": "category"}))
		r.must(201, boss.do("POST", base+"exportJob", map[string]any{"url": "/transfer/alone.json", "path": "category"}))
		r.settle()
		r.must(204, boss.do("DELETE", r.must(200, boss.do("GET", base+"exportJob?url=/transfer/alone.json", nil)).list()[0]["href"].(string), nil))
		w := r.role("categories", "TMF620 category read create", "TMF620 importJob create read", "TMF620 exportJob create read")
		r.must(200, w.do("GET", "/transfer/categories.json", nil))
		r.must(403, w.do("GET", "/transfer/all.json", nil))
		r.must(404, w.do("GET", "/transfer/alone.json", nil))
		r.must(403, r.role("nothing", "TMF632 * read").do("GET", "/transfer/categories.json", nil))
		r.must(403, w.do("POST", base+"exportJob", map[string]any{"url": "/transfer/mine.json"}))
		r.must(201, w.do("POST", base+"exportJob", map[string]any{"url": "/transfer/mine.json", "path": "category"}))
		r.must(403, r.role("looks-only", "TMF620 * read", "TMF620 importJob create").do("POST", base+"importJob", map[string]any{"content": []any{map[string]any{"@type": "Category", "name": "n"}}}))
		for _, c := range []struct {
			doc  map[string]any
			want string // of the log
		}{
			{map[string]any{"@type": "Category", "id": "d", "name": "D"}, ""},
			{map[string]any{"@type": "Category", "id": "c", "name": "changed"}, "may not update category"},
			{map[string]any{"@type": "ProductOfferingPrice", "id": "cheap", "name": "cheap"}, "may not create productOfferingPrice"},
		} {
			href := r.must(201, w.do("POST", base+"importJob", map[string]any{"content": []any{c.doc}})).object()["href"].(string)
			r.settle()
			job := w.do("GET", href, nil).object()
			if log, _ := job["errorLog"].(string); !strings.Contains(log, c.want) || (job["status"] == "Succeeded") != (c.want == "") {
				t.Errorf("import of %v: %v", c.doc, job)
			}
		}
		r.must(404, boss.do("GET", base+"productOfferingPrice/cheap", nil))
	})
}

// What is done to elements is told with what it was before.
func TestTheAuditOfElementsSaysWhatWasBefore(t *testing.T) {
	each(t, func(r *rig) {
		w := r.admin("alpha", "noc")
		const route = "/tandem-api/network/v1/element/east"
		put := func(address string) {
			r.must(200, w.do("PUT", route, map[string]any{"type": "osmo-hlr", "address": address, "vty": address, "enabled": false}))
		}
		put("192.0.2.1:4259")
		put("192.0.2.2:4259")
		r.must(200, w.do("PUT", route+"/grant/beta", map[string]any{"prefix": "26201"}))
		r.must(200, w.do("PUT", route+"/grant/beta", map[string]any{"prefix": "26202"}))
		r.must(204, w.do("DELETE", route+"/grant/beta", nil))
		r.must(204, w.do("DELETE", route, nil))
		for _, c := range []struct {
			action, attr string
			before       []any
		}{
			{"element.put", "address", []any{nil, "192.0.2.1:4259"}},
			{"element.grant", "prefix", []any{nil, "26201"}},
			{"element.revoke", "prefix", []any{"26202"}},
			{"element.delete", "address", []any{"192.0.2.2:4259"}},
		} {
			lines := r.audited(c.action)
			if len(lines) != len(c.before) {
				t.Errorf("%s: %v", c.action, lines)
				continue
			}
			for i, want := range c.before {
				before, _ := lines[i]["before"].(map[string]any)
				if before[c.attr] != want {
					t.Errorf("%s %d: before is %v, want %v", c.action, i, before, want)
				}
			}
		}
	})
}
