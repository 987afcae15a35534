package receivable

import (
	"errors"
	"io"
	"net/http"

	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// maxBankFile bounds a file of a bank, in octets: a day of a large operator.
const maxBankFile = 64 << 20

// BankFiles serves files of banks and agencies as they are.
//
//	GET  .../directDebitFile/{id}/content      the file to hand in
//	GET  .../creditTransferFile/{id}/content   the same, of transfers
//	GET  .../agencyFile/{id}/content           what an agency is to collect
//	GET  .../agencyFile/{id}/ended             what of it has ended since
//	POST .../bankStatement/content             a file that came, of any size a bank sends
//
// What goes out has the accounts and addresses of customers, which the resources mask or
// leave out. Who may update the content of a kind (directDebitFileContent ...) is handed
// it, and it is written down that he was.
type BankFiles struct {
	DB           *store.DB
	Authenticate func(*http.Request) (*tmf.Caller, error)
}

// Routes puts them behind the guard that admits requests.
func (s *BankFiles) Routes(mux *http.ServeMux, admit func(http.Handler) http.Handler) {
	for _, o := range []handout{
		{DirectDebitFiles.Name, "content", "xml", debitFileContent},
		{TransferFiles.Name, "content", "xml", transferFileContent},
		{AgencyFiles.Name, "content", "csv", AgencyCSV},
		{AgencyFiles.Name, "ended", "csv", EndedCSV},
	} {
		mux.Handle("GET "+API.Base+"/"+o.kind+"/{id}/"+o.part, admit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.give(w, r, o) })))
	}
	mux.Handle("POST "+API.Base+"/bankStatement/content", admit(http.HandlerFunc(s.take)))
}

// allowed says who asks, if they may.
func (s *BankFiles) allowed(r *http.Request, kind, verb string) (store.Scope, error) {
	caller, err := s.Authenticate(r)
	if err != nil {
		return store.Scope{}, err
	}
	if !caller.Allow(API.ID, kind, verb) {
		return store.Scope{}, fault.Denied("notAllowed", "You may not %s %s; ask your administrator for the permission", verb, kind)
	}
	return store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}, nil
}

// handout is a file that leaves the house.
type handout struct {
	kind, part string // of the address
	form       string // ending of its name
	read       func(tx *store.Tx, id string) ([]byte, error)
}

// give hands a file out. To read all there is must not be enough for that.
func (s *BankFiles) give(w http.ResponseWriter, r *http.Request, o handout) {
	id := r.PathValue("id")
	who, err := s.allowed(r, o.kind+"Content", tmf.VerbUpdate)
	var content []byte
	if err == nil {
		err = s.DB.Write(r.Context(), who, func(tx *store.Tx) (err error) {
			if content, err = o.read(tx, id); err != nil {
				return err
			}
			return access.Audit(tx, "receivable.handOut", o.kind+":"+id, nil, map[string]string{"part": o.part})
		})
	}
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", map[string]string{"xml": "application/xml", "csv": "text/csv; charset=utf-8"}[o.form])
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", `attachment; filename="`+id+"."+o.form+`"`)
	_, _ = w.Write(content) // the client went away: nobody is left to tell
}

// debitFileContent is a file of collections as it is handed to the bank.
func debitFileContent(tx *store.Tx, id string) ([]byte, error) {
	if _, err := DirectDebitFiles.Get(tx, id); err != nil {
		return nil, err
	}
	return DebitFile(tx, id)
}

func (s *BankFiles) take(w http.ResponseWriter, r *http.Request) {
	who, err := s.allowed(r, BankStatements.Name, tmf.VerbCreate)
	var file, out []byte
	if err == nil {
		file, err = bankFileOf(w, r)
	}
	var read *BankFile
	if err == nil {
		read, err = ReadBankFile(file)
	}
	if err == nil {
		err = s.DB.Write(r.Context(), who, func(tx *store.Tx) error {
			b := &BankStatement{}
			err := read.Take(tx, b)
			if err == nil {
				out, err = tmf.Encode(b)
			}
			return err
		})
	}
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(out) // the client went away: nobody is left to tell
}

// bankFileOf reads the whole file before a transaction begins.
func bankFileOf(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	file, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBankFile))
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return nil, fault.New(fault.TooLarge, "fileTooLarge", "A file of a bank has at most %d MB; ask the bank for one a day", maxBankFile>>20)
	}
	if err != nil {
		return nil, fault.BadInput("fileCut", "The file did not come whole; send it again")
	}
	return file, nil
}
