package transfer

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// States of a job (TMF620 JobStateType).
const (
	NotStarted = "Not Started"
	Running    = "Running"
	Succeeded  = "Succeeded"
	Failed     = "Failed"
)

var moves = tmf.Moves{
	"":         {NotStarted},
	NotStarted: {Running},
	Running:    {Succeeded, Failed},
}

// ImportJob loads resources. One of path, content and url says from where.
type ImportJob struct {
	tmf.Entity
	URL                string         `json:"url,omitzero"`     // http(s), or one that an exportJob gave
	Path               string         `json:"path,omitzero"`    // file in the tenant's folder
	Content            jsontext.Value `json:"content,omitzero"` // extension: the resources themselves; dropped at the end
	ContentType        string         `json:"contentType,omitzero"`
	Status             string         `json:"status,omitzero" tmf:"enum=Not Started|Running|Succeeded|Failed"`
	CreationDate       time.Time      `json:"creationDate,omitzero"`
	CompletionDate     time.Time      `json:"completionDate,omitzero"`
	RequestedStartDate time.Time      `json:"requestedStartDate,omitzero"` // extension: not before; empty: at once
	ErrorLog           string         `json:"errorLog,omitzero"`
	Loaded             *int64         `json:"loaded,omitzero"` // extension: resources taken
}

// ExportJob writes resources to the file that url names: /transfer/ and the name
// of a new file of the tenant, .json or .ndjson, which is then read from there.
type ExportJob struct {
	tmf.Entity
	URL                string    `json:"url,omitzero" tmf:"required"`
	Path               string    `json:"path,omitzero"`  // root resource to export; default: all of the catalogue
	Query              string    `json:"query,omitzero"` // filter: attribute=value&...
	ContentType        string    `json:"contentType,omitzero"`
	Status             string    `json:"status,omitzero" tmf:"enum=Not Started|Running|Succeeded|Failed"`
	CreationDate       time.Time `json:"creationDate,omitzero"`
	CompletionDate     time.Time `json:"completionDate,omitzero"`
	RequestedStartDate time.Time `json:"requestedStartDate,omitzero"` // extension: not before; empty: at once
	ErrorLog           string    `json:"errorLog,omitzero"`
	Written            *int64    `json:"written,omitzero"` // extension: resources in the file
}

// Types of content.
const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
)

// Jobs are the two kinds of job of one API.
type Jobs struct {
	Imports  tmf.Kind[ImportJob, *ImportJob]
	Exports  tmf.Kind[ExportJob, *ExportJob]
	contents []Content
	runtime  runtime
}

// New makes the jobs of an API over its kinds; room is the prefix of the tables.
func New(api *tmf.API, room string, contents ...Content) *Jobs {
	j := &Jobs{contents: contents}
	frozen := []string{"status", "creationDate", "completionDate", "errorLog"}
	j.Imports = tmf.Kind[ImportJob, *ImportJob]{API: api, Name: "importJob", Table: room + "_import_job", Verbs: tmf.Post | tmf.Delete,
		Index: []string{"status"}, StateAttr: "status", Moves: moves, Frozen: frozen,
		Default: defaultImport, Check: j.checkImport, OnPost: j.postImport, OnDelete: j.deleteImport}
	j.Exports = tmf.Kind[ExportJob, *ExportJob]{API: api, Name: "exportJob", Table: room + "_export_job", Verbs: tmf.Post | tmf.Delete,
		Index: []string{"status", "url"}, StateAttr: "status", Moves: moves, Frozen: frozen,
		Default: defaultExport, Check: j.checkExport, OnPost: j.postExport, OnDelete: j.deleteExport}
	return j
}

// Kinds are the two kinds, to be mounted with those of the room.
func (j *Jobs) Kinds() []tmf.Mounted { return []tmf.Mounted{&j.Imports, &j.Exports} }

func (j *Jobs) importKind() string { return "transfer.import/" + j.Imports.API.ID }
func (j *Jobs) exportKind() string { return "transfer.export/" + j.Exports.API.ID }

func defaultImport(tx *store.Tx, i *ImportJob) error {
	i.Status, i.CreationDate, i.CompletionDate, i.ErrorLog, i.Loaded = NotStarted, tx.Now(), time.Time{}, "", nil
	return nil
}

func defaultExport(tx *store.Tx, e *ExportJob) error {
	e.Status, e.CreationDate, e.CompletionDate, e.ErrorLog, e.Written = NotStarted, tx.Now(), time.Time{}, "", nil
	if e.ContentType == "" {
		e.ContentType = typeOf(e.URL)
	}
	return nil
}

// typeOf is the content type that goes with the name of a file.
func typeOf(file string) string {
	if path.Ext(file) == ".ndjson" {
		return ndjsonType
	}
	return jsonType
}

func (e *ExportJob) fileName() string { return strings.TrimPrefix(e.URL, RoutePrefix) }

// checkTarget: an export makes a new file of a type that goes with its name; it
// writes over nothing.
func (j *Jobs) checkTarget(tx *store.Tx, e *ExportJob) error {
	name := e.fileName()
	if _, err := localFile(e.URL); err != nil || strings.ContainsAny(name, "/") || strings.HasPrefix(name, ".") || !slices.Contains([]string{".json", ".ndjson"}, path.Ext(name)) {
		return fault.BadInput("invalidUrl", "url is %s and the name of a new file that ends in .json or .ndjson", RoutePrefix)
	}
	if t, _, _ := strings.Cut(e.ContentType, ";"); (strings.TrimSpace(t) == jsonType) != (typeOf(name) == jsonType) {
		return fault.BadInput("unsupportedContentType", "contentType %.60q does not go with the file name %.60q", e.ContentType, name)
	}
	same, err := j.Exports.Count(tx, tmf.Where{"url": e.URL})
	if err == nil && (same > 0 || j.runtime.exists(tx.Tenant(), name)) {
		return fault.Clash("fileExists", "There is a file %q already; choose another name, or delete the job that made it", name)
	}
	return err
}

func (j *Jobs) checkImport(tx *store.Tx, old, i *ImportJob) error {
	if old != nil {
		return nil
	}
	if err := j.mayWrite(tx); err != nil {
		return err
	}
	if err := checkType(i.ContentType); err != nil {
		return err
	}
	sources := 0
	for _, given := range []bool{i.URL != "", i.Path != "", len(i.Content) > 0} {
		if given {
			sources++
		}
	}
	switch {
	case sources == 0:
		return fault.BadInput("mandatoryAttributeMissing", "Say where the resources are: url, path or content")
	case len(i.Content) > 0 && sources > 1, i.Path != "" && i.URL != "" && isHTTP(i.URL):
		return fault.BadInput("ambiguousSource", "Give one of url, path and content")
	case len(i.Content) > 0 && i.Content.Kind() != '[' && i.Content.Kind() != '{':
		return fault.BadInput("invalidContent", "content is an array of resources")
	case i.Path != "":
		return checkPath(i.Path)
	case isHTTP(i.URL):
		return j.runtime.allowed(i.URL)
	case i.URL != "":
		_, err := localFile(i.URL)
		return err
	}
	return nil
}

func checkType(contentType string) error {
	if t, _, _ := strings.Cut(contentType, ";"); !slices.Contains([]string{"", jsonType, ndjsonType, "application/ndjson"}, strings.TrimSpace(t)) {
		return fault.BadInput("unsupportedContentType", "contentType is %s or %s, not %.60q", jsonType, ndjsonType, contentType)
	}
	return nil
}

func isHTTP(u string) bool {
	return strings.HasPrefix(u, "http://") || strings.HasPrefix(u, "https://")
}

// checkPath accepts a relative path that stays below its folder.
func checkPath(p string) error {
	if len(p) > 255 || p != path.Clean(p) || path.IsAbs(p) || p == "." || p == ".." || strings.HasPrefix(p, "../") || strings.ContainsAny(p, "\\\x00") {
		return fault.BadInput("invalidPath", "path is the name of a file in the transfer folder, without .. and without a leading slash")
	}
	return nil
}

// localFile is the file behind a url that an exportJob gave.
func localFile(u string) (string, error) {
	name, ok := strings.CutPrefix(u, RoutePrefix)
	if !ok {
		return "", fault.BadInput("invalidUrl", "url is an http(s) address, or one an exportJob gave (%s...)", RoutePrefix)
	}
	return name, checkPath(name)
}

func (j *Jobs) checkExport(tx *store.Tx, old, e *ExportJob) error {
	if old != nil {
		return nil
	}
	if err := checkType(e.ContentType); err != nil {
		return err
	}
	if err := j.checkTarget(tx, e); err != nil {
		return err
	}
	list, where, err := j.scopeOf(e)
	if err != nil {
		return err
	}
	if err := j.mayRead(tx, list); err != nil {
		return err
	}
	for _, c := range list {
		if err := c.probe(tx, where); err != nil {
			return err
		}
	}
	return nil
}

// mayRead refuses an export of kinds that the actor of tx may not all read.
func (j *Jobs) mayRead(tx *store.Tx, list []Content) error {
	may, err := j.rights(tx)
	if err != nil {
		return err
	}
	return j.mustRead(may, list)
}

func (j *Jobs) mustRead(may Rights, list []Content) error {
	for _, c := range list {
		if err := may.must(j.Exports.API.ID, c.name(), tmf.VerbRead); err != nil {
			return err
		}
	}
	return nil
}

// mayWrite refuses an import to whom every resource of it would be refused; which
// resources it has shows when it runs.
func (j *Jobs) mayWrite(tx *store.Tx) error {
	may, err := j.rights(tx)
	if err != nil {
		return err
	}
	for _, name := range j.names() {
		if api := j.Imports.API.ID; may(api, name, tmf.VerbCreate) || may(api, name, tmf.VerbUpdate) {
			return nil
		}
	}
	return fault.Denied("notAllowed", "You may write no resource of this catalogue; ask your administrator for the permission")
}

// scopeOf says which kinds an export covers and how it filters them.
func (j *Jobs) scopeOf(e *ExportJob) ([]Content, tmf.Where, error) {
	list := j.contents
	if e.Path != "" {
		name := path.Base(strings.TrimSuffix(e.Path, "/"))
		i := slices.IndexFunc(list, func(c Content) bool { return c.name() == name })
		if i < 0 && !strings.HasSuffix(j.Exports.API.Base, "/"+name) {
			return nil, nil, fault.BadInput("invalidPath", "path names no resource of this catalogue; it may be one of %s", strings.Join(j.names(), ", "))
		}
		if i >= 0 {
			list = list[i : i+1]
		}
	}
	values, err := url.ParseQuery(e.Query)
	if err != nil || len(e.Query) > 2000 || len(values) > 20 {
		return nil, nil, fault.BadInput("invalidQuery", "query is attribute=value, joined by &, at most 20 of them")
	}
	where := tmf.Where{}
	for attr, v := range values {
		where[attr] = v[0]
		if len(v) > 1 {
			return nil, nil, fault.BadInput("invalidQuery", "query names %.60q twice", attr)
		}
	}
	return list, where, nil
}

func (j *Jobs) names() []string {
	var out []string
	for _, c := range j.contents {
		out = append(out, c.name())
	}
	return out
}

// payload of the work behind a job.
type payload struct {
	Job   string `json:"job"`
	Actor string `json:"actor"`
}

func (j *Jobs) postImport(tx *store.Tx, i *ImportJob) error {
	if err := j.Imports.Create(tx, i); err != nil {
		return err
	}
	return work.Enqueue(tx, j.importKind(), i.ID, payload{i.ID, tx.Actor()}, i.RequestedStartDate)
}

func (j *Jobs) postExport(tx *store.Tx, e *ExportJob) error {
	if err := j.Exports.Create(tx, e); err != nil {
		return err
	}
	return work.Enqueue(tx, j.exportKind(), e.ID, payload{e.ID, tx.Actor()}, e.RequestedStartDate)
}

func (j *Jobs) deleteImport(tx *store.Tx, i *ImportJob) error {
	if i.Status == Running {
		return fault.Clash("jobRunning", "The job is running; it can be deleted when it has ended")
	}
	work.Cancel(tx, j.importKind(), i.ID)
	return j.Imports.Remove(tx, i)
}

func (j *Jobs) deleteExport(tx *store.Tx, e *ExportJob) error {
	if e.Status == Running {
		return fault.Clash("jobRunning", "The job is running; it can be deleted when it has ended")
	}
	work.Cancel(tx, j.exportKind(), e.ID)
	tenant, file := tx.Tenant(), e.fileName()
	tx.OnCommit(func() { j.runtime.discard(tenant, file) })
	return j.Exports.Remove(tx, e)
}
