package lab

import (
	"errors"
	"strconv"
	"strings"

	"tandem/edge/hlr"
)

// request is one decoded CTRL command.
type request struct {
	id   string // as the client wrote it: "03" comes back as "03"
	cmd  hlr.Command
	err  string // set: the command is malformed, this is the answer
	flaw Fault
}

// parseRequest decodes command text as osmo-hlr does: words are separated by any number of blanks, but the value of a SET is the
// rest of the line as it is.
func parseRequest(text string) request {
	text, _, _ = strings.Cut(text, "\n")
	verb, rest := word(text)
	if verb == "" {
		return request{id: "err", err: "Request malformed"}
	}
	known := false
	for _, v := range []string{"GET", "SET", "GET_REPLY", "SET_REPLY", "TRAP", "ERROR"} {
		known = known || strings.EqualFold(v, verb)
	}
	if !known {
		return request{id: "err", err: "Request type unknown"}
	}
	id, rest := word(rest)
	if id == "" {
		return request{id: "err", err: "Missing ID"}
	}
	if strings.Trim(id, "0123456789") != "" {
		return request{id: "err", err: "Invalid message ID number"}
	}
	variable, rest := word(rest)
	r := request{id: id, cmd: hlr.Command{Verb: hlr.Verb(strings.ToUpper(verb)), Var: variable}}
	valid := strings.Trim(variable, variableChars) == ""
	switch r.cmd.Verb {
	case hlr.Get:
		switch {
		case variable == "":
			r.err = "GET incomplete"
		case !valid:
			r.err = "GET variable contains invalid characters"
		case strings.TrimLeft(rest, " ") != "":
			r.err = "GET with trailing characters"
		}
	case hlr.Set:
		r.cmd.Value = rest
		switch {
		case variable == "" || rest == "":
			r.err = "SET incomplete"
		case !valid:
			r.err = "SET variable contains invalid characters"
		}
	default:
		r.err = "Trying to execute something not GET or SET"
	}
	return r
}

const variableChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

// word cuts the first word and the one blank behind it.
func word(s string) (first, rest string) {
	first, rest, _ = strings.Cut(strings.TrimLeft(s, " "), " ")
	return first, rest
}

// answer executes the request and returns the reply text. The caller holds the lock.
func (s *store) answer(r request) string {
	if r.err != "" {
		return "ERROR " + r.id + " " + r.err
	}
	value, refused := s.execute(r.cmd)
	if refused != "" {
		return "ERROR " + r.id + " " + refused
	}
	return string(r.cmd.Verb) + "_REPLY " + r.id + " " + r.cmd.Var + " " + value
}

// variable is one leaf below a subscriber. check judges a value before the subscriber is looked up.
type variable struct {
	get   func(s *store, id uint32) string
	check func(value string) bool
	set   func(s *store, id uint32, value string) (refused string)
}

var variables = map[string]variable{
	"info":     {get: (*store).info},
	"info-aud": {get: (*store).infoAud},
	"info-all": {get: func(s *store, id uint32) string { return s.info(id) + s.infoAud(id) }},
	"msisdn": {
		get: func(s *store, id uint32) string { return s.rows[id].msisdn.String() },
		check: func(v string) bool {
			_, ok := parseNumber(v, 1)
			return ok || v == "none"
		},
		set: (*store).setMSISDN,
	},
	"ps-enabled": {
		get:   func(s *store, id uint32) string { return bit(s.rows[id].ps) },
		check: isBit,
		set: func(s *store, id uint32, v string) string {
			row := s.rows[id]
			row.ps = v == "1"
			s.save(id, row)
			return ""
		},
	},
	"cs-enabled": {
		get:   func(s *store, id uint32) string { return bit(s.rows[id].cs) },
		check: isBit,
		set: func(s *store, id uint32, v string) string {
			row := s.rows[id]
			row.cs = v == "1"
			s.save(id, row)
			return ""
		},
	},
	"aud3g": {
		get:   func(s *store, id uint32) string { return s.rows[id].aud3g.wire() },
		check: isKeys,
		set:   (*store).setAud3G,
	},
	"aud2g": {
		get:   func(s *store, id uint32) string { return s.aud2g[id].wire() },
		check: isKeys,
		set:   (*store).setAud2G,
	},
}

func isBit(v string) bool  { return v == "0" || v == "1" }
func isKeys(v string) bool { return strings.EqualFold(v, "none") || strings.Contains(v, ",") }

// execute finds the variable, then judges the value, then looks for the subscriber: in this order, as osmo-hlr does.
func (s *store) execute(cmd hlr.Command) (value, refused string) {
	head, rest, _ := strings.Cut(cmd.Var, ".")
	if head != "subscriber" {
		return "", "Command not found"
	}
	if rest == "" {
		return "", "Command not present."
	}
	if rest == "create" || rest == "delete" {
		if cmd.Verb == hlr.Get {
			return "", "Write Only attribute"
		}
		return s.executeRoot(rest, cmd.Value)
	}
	selector, leaf, _ := strings.Cut(rest, ".")
	if !strings.HasPrefix(selector, "by-") {
		return "", "Command not found"
	}
	if leaf == "" {
		return "", "Command not present."
	}
	v, known := variables[leaf]
	switch {
	case !known:
		return "", "Command not found"
	case cmd.Verb == hlr.Set && v.set == nil:
		return "", "Read Only attribute"
	case cmd.Verb == hlr.Set && !v.check(cmd.Value):
		return "", "Value failed verification."
	}
	id, refused := s.find(selector)
	if refused == noSubscriber && strings.HasPrefix(selector, "by-imsi-") {
		return "", refusedByIMSI(cmd.Verb, leaf)
	}
	if refused != "" {
		return "", refused
	}
	if cmd.Verb == hlr.Get {
		return v.get(s, id), ""
	}
	return "OK", v.set(s, id, cmd.Value)
}

// refusedByIMSI is the answer for an absent subscriber addressed by IMSI. Two variables do not look it up first: osmo-hlr 1.5.0 then
// fails without a reason, or finds no keys and answers with an empty value.
func refusedByIMSI(verb hlr.Verb, leaf string) string {
	switch {
	case verb == hlr.Set && strings.HasSuffix(leaf, "-enabled"):
		return "An error has occurred."
	case leaf == "info-aud":
		return ""
	}
	return noSubscriber
}

// executeRoot creates or deletes a subscriber; the value of the reply is its id.
func (s *store) executeRoot(what, value string) (id, refused string) {
	imsi, ok := parseNumber(value, 6)
	if !ok {
		return "", "Invalid IMSI value."
	}
	n, exists := s.byIMSI[imsi]
	switch {
	case what == "create" && exists:
		return "", "Subscriber already exists."
	case what == "create":
		n = s.create(imsi)
	case !exists:
		return "", "Subscriber doesn't exist."
	default:
		s.erase(n)
	}
	return strconv.FormatUint(uint64(n), 10), ""
}

func (s *store) create(imsi number) uint32 {
	id := uint32(len(s.rows))
	s.save(id, subscriber{imsi: imsi, cs: true, ps: true})
	return id
}

const (
	noSubscriber    = "No such subscriber."
	invalidSelector = "Invalid value part of 'by-xxx-value' selector."
)

// find resolves "by-imsi-X", "by-msisdn-X" and "by-id-N".
func (s *store) find(selector string) (id uint32, refused string) {
	kind, value, ok := strings.Cut(strings.TrimPrefix(selector, "by-"), "-")
	if !ok {
		kind = ""
	}
	switch kind {
	case "imsi":
		n, ok := parseNumber(value, 6)
		if !ok {
			return 0, invalidSelector
		}
		id = s.byIMSI[n]
	case "msisdn":
		n, ok := parseNumber(value, 1)
		if !ok {
			return 0, invalidSelector
		}
		id = s.byMSISDN[n]
	case "id":
		n, err := strconv.ParseInt(value, 10, 64)
		if errors.Is(err, strconv.ErrSyntax) && value != "" {
			return 0, invalidSelector
		}
		if n > 0 && n < int64(len(s.rows)) {
			id = uint32(n)
		}
	default:
		return 0, "Not a known subscriber 'by-xxx-' selector."
	}
	if s.get(id) == nil {
		return 0, noSubscriber
	}
	return id, ""
}

func (s *store) setMSISDN(id uint32, value string) (refused string) {
	row := s.rows[id]
	row.msisdn = 0
	if value != "none" {
		row.msisdn, _ = parseNumber(value, 1)
	}
	if holder, taken := s.byMSISDN[row.msisdn]; taken && holder != id {
		return "Update MSISDN failed"
	}
	s.save(id, row)
	return ""
}

func (s *store) setAud3G(id uint32, value string) (refused string) {
	row := s.rows[id]
	keys, err := parse3G(strings.Split(value, ","))
	if err != nil {
		return err.Error()
	}
	if keys.algo == 0 && row.aud3g.algo == 0 {
		return errAud3G.Error()
	}
	row.aud3g = keys
	s.save(id, row)
	return ""
}

func (s *store) setAud2G(id uint32, value string) (refused string) {
	keys, err := parse2G(strings.Split(value, ","))
	if err != nil {
		return err.Error()
	}
	if keys.algo == 0 && s.aud2g[id].algo == 0 {
		return errAud2G.Error()
	}
	s.save2G(id, keys)
	return ""
}

// The refusals of keys, in the words of osmo-hlr.
var (
	errAlgorithm = errors.New("Unknown auth algorithm.")
	errFormat    = errors.New("Invalid format.")
	errKI        = errors.New("Invalid KI.")
	errOP        = errors.New("Invalid OP/OPC.")
	errAud3G     = errors.New("Update aud3g failed.")
	errAud2G     = errors.New("Update aud2g failed.")
)

// parse3G reads "algorithm,K,OP|OPC,op[,length of IND]".
func parse3G(f []string) (keys3G, error) {
	algo, known := parseAlgorithm(f[0])
	if !known && f[0] != "" {
		return keys3G{}, errAlgorithm
	}
	if known && algo == 0 {
		return keys3G{}, nil
	}
	if len(f) < 4 || f[0] == "" {
		return keys3G{}, errFormat
	}
	keys := keys3G{algo: algo, isOP: strings.EqualFold(f[2], "OP"), indBits: 5}
	var err error
	if keys.k, err = hlr.ParseSecret(f[1]); err != nil {
		return keys3G{}, errKI
	}
	if !keys.isOP && !strings.EqualFold(f[2], "OPC") {
		return keys3G{}, errFormat
	}
	if keys.op, err = hlr.ParseSecret(f[3]); err != nil {
		return keys3G{}, errOP
	}
	bits := 5
	if len(f) > 4 {
		bits = leadingInt(f[4])
	}
	if bits < 0 || bits > 28 || algo != xor && algo != milenage {
		return keys3G{}, errAud3G
	}
	keys.indBits = byte(bits)
	return keys, nil
}

// leadingInt reads a number as C's atoi: what follows the digits does not count, and none is 0. Out of range is -1.
func leadingInt(s string) int {
	end := len(s) - len(strings.TrimLeft(s, "-0123456789"))
	n, err := strconv.Atoi(s[:end])
	if errors.Is(err, strconv.ErrRange) {
		return -1
	}
	return n
}

// parse2G reads "algorithm,Ki".
func parse2G(f []string) (keys2G, error) {
	algo, known := parseAlgorithm(f[0])
	switch {
	case !known:
		return keys2G{}, errAlgorithm
	case algo == 0:
		return keys2G{}, nil
	case len(f) != 2:
		return keys2G{}, errKI
	}
	ki, err := hlr.ParseSecret(f[1])
	if err != nil {
		return keys2G{}, errKI
	}
	if algo == milenage {
		return keys2G{}, errAud2G
	}
	return keys2G{algo, ki}, nil
}

// wire gives the keys as a reply has them; the journal has them so too.
func (k keys3G) wire() string {
	if k.algo == 0 {
		return "none"
	}
	kind := "OPC"
	if k.isOP {
		kind = "OP"
	}
	return k.algo.String() + "," + k.k.Hex() + "," + kind + "," + k.op.Hex() + "," + strconv.Itoa(int(k.indBits))
}

func (k keys2G) wire() string {
	if k.algo == 0 {
		return "none"
	}
	return k.algo.String() + "," + k.ki.Hex()
}

func (s *store) info(id uint32) string {
	row := &s.rows[id]
	b := "\nid\t" + strconv.FormatUint(uint64(id), 10) + "\nimsi\t" + row.imsi.String()
	if row.msisdn != 0 {
		b += "\nmsisdn\t" + row.msisdn.String()
	}
	return b + "\nnam_cs\t" + bit(row.cs) + "\nnam_ps\t" + bit(row.ps) +
		"\nms_purged_cs\t0\nms_purged_ps\t0\nperiodic_lu_timer\t0\nperiodic_rau_tau_timer\t0\nlmsi\t00000000"
}

func (s *store) infoAud(id uint32) string {
	b := ""
	if two := s.aud2g[id]; two.algo != 0 {
		b += "\naud2g.algo\t" + two.algo.String() + "\naud2g.ki\t" + two.ki.Hex()
	}
	if three := s.rows[id].aud3g; three.algo != 0 {
		kind := "opc"
		if three.isOP {
			kind = "op"
		}
		b += "\naud3g.algo\t" + three.algo.String() + "\naud3g.k\t" + three.k.Hex() + "\naud3g." + kind + "\t" + three.op.Hex() +
			"\naud3g.ind_bitlen\t" + strconv.Itoa(int(three.indBits)) + "\naud3g.sqn\t0"
	}
	return b
}

func bit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}
