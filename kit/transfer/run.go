package transfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// Limits of one import.
const (
	MaxResources = 10_000
	MaxBytes     = 64 << 20
)

const (
	maxErrorLog = 4000
	maxAttempts = 5
)

// Config says where files lie and what may be fetched.
type Config struct {
	Folder string                 // files of tenants lie in Folder/<tenant>/
	Allow  func(url string) error // policy for http(s) imports, the one of hubs; nil: none is allowed
	Client *http.Client           // dials; nil: a plain one with a time limit

	// Rights are the present permissions of the actor of tx; nil: everybody may do all.
	Rights func(tx *store.Tx) (Rights, error)
}

// Rights report whether somebody may do the verb on the kind of the API.
type Rights func(api, kind, verb string) bool

func (may Rights) must(api, kind, verb string) error {
	if may(api, kind, verb) {
		return nil
	}
	return fault.Denied("notAllowed", "You may not %s %s; ask your administrator for the permission", verb, kind)
}

// rights of the actor of tx.
func (j *Jobs) rights(tx *store.Tx) (Rights, error) {
	c := j.runtime.get()
	if c.Rights == nil {
		return func(string, string, string) bool { return true }, nil
	}
	return c.Rights(tx)
}

// runtime is what the jobs know once the program runs.
type runtime struct{ config atomic.Pointer[Config] }

func (r *runtime) get() Config {
	if c := r.config.Load(); c != nil {
		return *c
	}
	return Config{}
}

func (r *runtime) allowed(u string) error {
	c := r.get()
	if c.Allow == nil {
		return fault.BadInput("urlNotAllowed", "Imports from other servers are not switched on; give path or content")
	}
	if err := c.Allow(u); err != nil {
		return fault.BadInput("urlNotAllowed", "url is not allowed: %v", err)
	}
	return nil
}

func (r *runtime) exists(tenant, file string) bool {
	root, err := tenantRoot(r.get().Folder, tenant)
	if err != nil {
		return false // no folder: no file
	}
	defer root.Close()
	_, err = root.Lstat(file)
	return err == nil
}

func (r *runtime) discard(tenant, file string) {
	root, err := tenantRoot(r.get().Folder, tenant)
	if err != nil {
		return // no folder: no file
	}
	defer root.Close()
	_ = root.Remove(file) // it is not there if the export never ended well
}

// Run registers the handlers of the jobs with the runner.
func (j *Jobs) Run(runner *work.Runner, db *store.DB, c Config) {
	j.runtime.config.Store(&c)
	options := work.Options{Concurrency: 1, MaxAttempts: maxAttempts, Timeout: 30 * time.Minute}
	runner.Handle(j.importKind(), options, func(ctx context.Context, job *work.Job) error { return j.runImport(ctx, db, c, job) })
	runner.Handle(j.exportKind(), options, func(ctx context.Context, job *work.Job) error { return j.runExport(ctx, db, c, job) })
}

// scope acts in the name of who asked for the job.
func scope(job *work.Job) (store.Scope, payload, error) {
	var p payload
	err := job.Decode(&p)
	return store.Scope{Tenant: job.Tenant, Actor: p.Actor}, p, err
}

func (j *Jobs) runImport(ctx context.Context, db *store.DB, c Config, job *work.Job) error {
	s, p, err := scope(job)
	if err != nil {
		return err
	}
	var task *ImportJob
	err = db.Write(ctx, s, func(tx *store.Tx) (err error) {
		task, err = j.Imports.Edit(tx, p.Job, func(i *ImportJob) error { i.Status = Running; return nil })
		return err
	})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) {
		return nil // deleted, or ended before the crash that made this run again
	}
	if err != nil {
		return err
	}
	err = j.importContent(ctx, db, s, c, task, job)
	if err == nil || errors.Is(err, store.ErrStale) || mayPass(err, job) {
		return err
	}
	return db.Write(ctx, s, func(tx *store.Tx) error {
		_, edit := j.Imports.Edit(tx, p.Job, func(i *ImportJob) error {
			i.Status, i.CompletionDate, i.ErrorLog, i.Content = Failed, tx.Now(), reason(err), nil
			return nil
		})
		return errors.Join(edit, job.Finish(tx))
	})
}

// mayPass: what is not a refusal (a server or the store is away) is tried again,
// as long as attempts are left.
func mayPass(err error, job *work.Job) bool {
	k := fault.Of(err).Kind
	return (k == fault.Internal || k == fault.Unavailable) && job.Attempt < maxAttempts
}

func reason(err error) string {
	f := fault.Of(err)
	text := f.Reason
	if f.Kind == fault.Unavailable && f.Err != nil {
		text += ": " + f.Err.Error()
	}
	return strings.ToValidUTF8(text[:min(len(text), maxErrorLog)], "")
}

func (j *Jobs) importContent(ctx context.Context, db *store.DB, s store.Scope, c Config, task *ImportJob, job *work.Job) error {
	data, err := j.fetch(ctx, c, s.Tenant, task)
	if err != nil {
		return err
	}
	items, err := split(data, len(task.Content) > 0)
	if err != nil {
		return err
	}
	return db.Write(ctx, s, func(tx *store.Tx) error {
		if err := j.loadAll(tx, items); err != nil {
			return err
		}
		_, err := j.Imports.Edit(tx, task.ID, func(i *ImportJob) error {
			n := int64(len(items))
			i.Status, i.CompletionDate, i.Loaded, i.Content = Succeeded, tx.Now(), &n, nil
			return nil
		})
		return errors.Join(err, job.Finish(tx))
	})
}

// fetch reads the content, wherever it is.
func (j *Jobs) fetch(ctx context.Context, c Config, tenant string, task *ImportJob) ([]byte, error) {
	switch {
	case len(task.Content) > 0:
		return task.Content, nil
	case task.Path != "":
		return readFile(c.Folder, tenant, task.Path)
	case isHTTP(task.URL):
		return j.download(ctx, c, task.URL)
	}
	name, err := localFile(task.URL)
	if err != nil {
		return nil, err
	}
	return readFile(c.Folder, tenant, name)
}

func readFile(folder, tenant, name string) ([]byte, error) {
	root, err := tenantRoot(folder, tenant)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return nil, fault.BadInput("noSuchFile", "There is no file %q in the transfer folder", name)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fault.BadInput("noSuchFile", "%q is not a file", name)
	}
	return readLimited(f)
}

func readLimited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fault.Away(err, "The content could not be read to its end")
	}
	if len(data) > MaxBytes {
		return nil, fault.New(fault.TooLarge, "contentTooLarge", "One import takes at most %d bytes", MaxBytes)
	}
	return data, nil
}

// download obeys the policy at every redirect, too.
func (j *Jobs) download(ctx context.Context, c Config, u string) ([]byte, error) {
	if err := j.runtime.allowed(u); err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 5 * time.Minute}
	if c.Client != nil {
		client = *c.Client
	}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) >= 5 {
			return errors.New("more than 5 redirects")
		}
		return j.runtime.allowed(req.URL.String())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, fault.BadInput("invalidUrl", "url is not an http(s) address")
	}
	req.Header.Set("Accept", jsonType+", "+ndjsonType)
	res, err := client.Do(req)
	if err != nil {
		var refused *fault.Error
		if errors.As(err, &refused) {
			return nil, refused
		}
		return nil, fault.Away(err, "The server of url cannot be reached")
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return nil, fault.Away(errors.New(res.Status), "The server of url does not answer properly")
	case res.StatusCode != http.StatusOK:
		return nil, fault.BadInput("notFetched", "The server of url answers %s", res.Status)
	}
	return readLimited(res.Body)
}

func (j *Jobs) runExport(ctx context.Context, db *store.DB, c Config, job *work.Job) error {
	s, p, err := scope(job)
	if err != nil {
		return err
	}
	var task *ExportJob
	err = db.Write(ctx, s, func(tx *store.Tx) (err error) {
		task, err = j.Exports.Edit(tx, p.Job, func(e *ExportJob) error { e.Status = Running; return nil })
		return err
	})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) {
		return nil // deleted, or ended before the crash that made this run again
	}
	if err != nil {
		return err
	}
	n, err := j.write(ctx, db, s, c, task)
	if err != nil && mayPass(err, job) {
		return err
	}
	return db.Write(ctx, s, func(tx *store.Tx) error {
		_, edit := j.Exports.Edit(tx, p.Job, func(e *ExportJob) error {
			e.Status, e.CompletionDate, e.Written = Succeeded, tx.Now(), &n
			if err != nil {
				e.Status, e.ErrorLog, e.Written = Failed, reason(err), nil
			}
			return nil
		})
		return errors.Join(edit, job.Finish(tx))
	})
}

// write makes the file under another name first, so that nobody reads half of it.
func (j *Jobs) write(ctx context.Context, db *store.DB, s store.Scope, c Config, task *ExportJob) (int64, error) {
	list, where, err := j.scopeOf(task)
	if err != nil {
		return 0, err
	}
	if err := db.Read(ctx, s, func(tx *store.Tx) error { return j.mayRead(tx, list) }); err != nil {
		return 0, err
	}
	if err := makeTenantFolder(c.Folder, s.Tenant); err != nil {
		return 0, err
	}
	root, err := tenantRoot(c.Folder, s.Tenant)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	draft := "." + task.fileName()
	f, err := root.Create(draft)
	if err != nil {
		return 0, fmt.Errorf("export file: %w", err)
	}
	defer f.Close()
	out := &writer{w: bufio.NewWriter(f), lines: typeOf(task.fileName()) == ndjsonType}
	for _, content := range list {
		if err := content.dump(ctx, db, s, where, out.add); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(out.end(), f.Sync(), root.Rename(draft, task.fileName())); err != nil {
		return 0, fmt.Errorf("export file: %w", err)
	}
	return out.n, nil
}

// writer writes resources as a JSON array or one a line.
type writer struct {
	w     *bufio.Writer
	lines bool
	n     int64
}

func (o *writer) add(v any) error {
	doc, err := tmf.Encode(v)
	if err != nil {
		return err
	}
	lead := ""
	switch {
	case o.lines:
	case o.n == 0:
		lead = "[\n"
	default:
		lead = ",\n"
	}
	o.n++
	_, err1 := o.w.WriteString(lead)
	_, err2 := o.w.Write(doc)
	if o.lines {
		return errors.Join(err1, err2, o.w.WriteByte('\n'))
	}
	return errors.Join(err1, err2)
}

func (o *writer) end() error {
	tail := "\n]\n"
	switch {
	case o.lines:
		tail = ""
	case o.n == 0:
		tail = "[]\n"
	}
	_, err := o.w.WriteString(tail)
	return errors.Join(err, o.w.Flush())
}

// RoutePrefix is where Handler is mounted.
const RoutePrefix = "/transfer/"

// MayFetch refuses the file that a URL names to a caller who may not read what one
// of the jobs exported to it. A file of no job is nobody's to read.
func MayFetch(tx *store.Tx, url string, may Rights, jobs ...*Jobs) error {
	for _, j := range jobs {
		found, err := j.Exports.Select(tx, tmf.Where{"url": url}, tmf.Page{Limit: 1})
		if err != nil {
			return err
		}
		if len(found) == 0 {
			continue
		}
		list, _, err := j.scopeOf(found[0])
		if err != nil {
			return err
		}
		return j.mustRead(may, list)
	}
	return fault.Missing("file", strings.TrimPrefix(url, RoutePrefix))
}

// Handler serves the files of the caller's tenant below RoutePrefix, for reading.
// tenant says who asks, as access control found out, if they may have the file; its
// error is the answer.
func Handler(folder string, tenant func(*http.Request) (string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		who, err := tenant(r)
		if err != nil {
			tmf.WriteError(w, r, err)
			return
		}
		if err := serveFile(w, r, folder, who); err != nil {
			tmf.WriteError(w, r, err)
		}
	})
}

func serveFile(w http.ResponseWriter, r *http.Request, folder, tenant string) error {
	name := strings.TrimPrefix(r.URL.Path, RoutePrefix)
	missing := fault.Missing("file", name)
	if checkPath(name) != nil || strings.HasPrefix(path.Base(name), ".") {
		return missing
	}
	root, err := tenantRoot(folder, tenant)
	if err != nil {
		return missing
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return missing
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return missing
	}
	w.Header().Set("Content-Type", typeOf(name))
	w.Header().Set("Content-Disposition", "attachment")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "private, no-cache")
	http.ServeContent(w, r, "", info.ModTime(), f)
	return nil
}

// tenantFolder is the name of a tenant's folder; a tenant's name that is no plain
// file name has none.
func tenantFolder(tenant string) (string, error) {
	if tenant == "" || tenant != path.Base(tenant) || strings.HasPrefix(tenant, ".") || strings.ContainsAny(tenant, "/\\\x00") {
		return "", fault.BadInput("invalidTenant", "The tenant %q has no transfer folder", tenant)
	}
	return tenant, nil
}

// tenantRoot opens the tenant's folder as a root that no path and no symbolic
// link leads out of.
func tenantRoot(folder, tenant string) (*os.Root, error) {
	name, err := tenantFolder(tenant)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fault.BadInput("noSuchFile", "There is no transfer folder")
	}
	defer root.Close()
	sub, err := root.OpenRoot(name)
	if err != nil {
		return nil, fault.BadInput("noSuchFile", "The tenant has no files in the transfer folder")
	}
	return sub, nil
}

func makeTenantFolder(folder, tenant string) error {
	name, err := tenantFolder(tenant)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("transfer folder: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("transfer folder: %w", err)
	}
	defer root.Close()
	if err := root.Mkdir(name, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("transfer folder: %w", err)
	}
	return nil
}
