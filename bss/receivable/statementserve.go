package receivable

import (
	"errors"
	"io"
	"net/http"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// maxBankFile bounds a file of a bank, in octets: a day of a large operator.
const maxBankFile = 64 << 20

// BankFiles serves files of banks as they are.
//
//	GET  .../directDebitFile/{id}/content   the file to hand in
//	POST .../bankStatement/content          a file that came, of any size a bank sends
type BankFiles struct {
	DB           *store.DB
	Authenticate func(*http.Request) (*tmf.Caller, error)
}

// Routes puts them behind the guard that admits requests.
func (s *BankFiles) Routes(mux *http.ServeMux, admit func(http.Handler) http.Handler) {
	mux.Handle("GET "+API.Base+"/directDebitFile/{id}/content", admit(http.HandlerFunc(s.give)))
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

func (s *BankFiles) give(w http.ResponseWriter, r *http.Request) {
	who, err := s.allowed(r, DirectDebitFiles.Name, tmf.VerbRead)
	var content []byte
	if err == nil {
		err = s.DB.Read(r.Context(), who, func(tx *store.Tx) (err error) { content, err = DebitFile(tx, r.PathValue("id")); return err })
	}
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Disposition", `attachment; filename="`+r.PathValue("id")+`.xml"`)
	_, _ = w.Write(content) // the client went away: nobody is left to tell
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
