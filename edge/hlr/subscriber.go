package hlr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Subscriber is one SIM as the register holds it, without its keys.
type Subscriber struct {
	ID     int64  // the element's own; it is used again after the newest subscriber is deleted
	IMSI   string // 6 to 15 digits
	MSISDN string // empty: none
	CS, PS bool   // network access mode: circuit and packet service permitted (3GPP TS 23.008, 2.1.1.2)

	// Known to Info only.
	PurgedCS, PurgedPS bool   // the serving node has forgotten the phone
	VLR, SGSN          string // serving nodes, once attached

	IMEI string // known to VTY.Subscribers only, once the phone told it
}

// Create creates the subscriber with both domains enabled and returns the element's id. Errors: Exists, InvalidIMSI.
func (c *Client) Create(ctx context.Context, imsi string) (int64, error) {
	cmd := CreateCommand(imsi)
	if err := checkIMSI(imsi); err != nil {
		return 0, err
	}
	value, err := c.one(ctx, cmd)
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, &Error{Kind: Protocol, Command: cmd.name(), Text: "the id is not a number"}
	}
	return id, nil
}

// Delete deletes the subscriber and its keys. The error is NoSubscriber when it is absent.
func (c *Client) Delete(ctx context.Context, imsi string) error {
	if err := checkIMSI(imsi); err != nil {
		return err
	}
	_, err := c.one(ctx, DeleteCommand(imsi))
	return err
}

// SetMSISDN gives the subscriber a number (1 to 15 digits), or takes it away if msisdn is empty. An attached phone is not told.
// Errors: NumberInUse, NoSubscriber, InvalidValue.
func (c *Client) SetMSISDN(ctx context.Context, imsi, msisdn string) error {
	if err := checkIMSI(imsi); err != nil {
		return err
	}
	if msisdn != "" && !digits(msisdn, 1, 15) {
		return MSISDNCommand(imsi, msisdn).invalid("an MSISDN has 1 to 15 digits")
	}
	_, err := c.one(ctx, MSISDNCommand(imsi, msisdn))
	return err
}

// SetMilenage writes the keys of the SIM. It also puts the sequence number back to 0, which costs a live SIM a resynchronisation:
// compare with AuthInfo before writing the same keys again.
func (c *Client) SetMilenage(ctx context.Context, imsi string, k, opc Secret) error {
	if err := checkIMSI(imsi); err != nil {
		return err
	}
	_, err := c.one(ctx, MilenageCommand(imsi, k, opc))
	return err
}

// ClearMilenage removes the keys; that there were none is no error (the element says "Update aud3g failed." then).
func (c *Client) ClearMilenage(ctx context.Context, imsi string) error {
	if err := checkIMSI(imsi); err != nil {
		return err
	}
	_, err := c.one(ctx, Command{Set, byIMSI(imsi, "aud3g"), "none"})
	if !errors.Is(err, Refused) {
		return err
	}
	auth, readErr := c.AuthInfo(ctx, imsi)
	if readErr != nil {
		return readErr
	}
	if auth.Algorithm != "" {
		return err
	}
	return nil
}

// SetPS permits or bars packet service from the next attach on; an attached phone keeps its service.
func (c *Client) SetPS(ctx context.Context, imsi string, enabled bool) error {
	return c.setDomain(ctx, imsi, PSCommand(imsi, enabled))
}

// SetCS permits or bars circuit service from the next attach on; an attached phone keeps its service.
func (c *Client) SetCS(ctx context.Context, imsi string, enabled bool) error {
	return c.setDomain(ctx, imsi, CSCommand(imsi, enabled))
}

// setDomain asks once more when the answer is "An error has occurred.", which is how osmo-hlr says that a subscriber addressed
// by IMSI is absent.
func (c *Client) setDomain(ctx context.Context, imsi string, cmd Command) error {
	if err := checkIMSI(imsi); err != nil {
		return err
	}
	_, err := c.one(ctx, cmd)
	if !errors.Is(err, Refused) {
		return err
	}
	if _, readErr := c.Info(ctx, imsi); readErr != nil {
		return readErr
	}
	return err
}

// Info reads the subscriber back. The error is NoSubscriber when it is absent.
func (c *Client) Info(ctx context.Context, imsi string) (Subscriber, error) {
	if err := checkIMSI(imsi); err != nil {
		return Subscriber{}, err
	}
	return c.info(ctx, InfoCommand(imsi))
}

// InfoByMSISDN reads the subscriber that holds a number. The error is NoSubscriber when nobody does.
func (c *Client) InfoByMSISDN(ctx context.Context, msisdn string) (Subscriber, error) {
	cmd := InfoByMSISDNCommand(msisdn)
	if !digits(msisdn, 1, 15) {
		return Subscriber{}, cmd.invalid("an MSISDN has 1 to 15 digits")
	}
	return c.info(ctx, cmd)
}

func (c *Client) info(ctx context.Context, cmd Command) (Subscriber, error) {
	value, err := c.one(ctx, cmd)
	if err != nil {
		return Subscriber{}, err
	}
	s, err := ParseInfo(value)
	if err != nil {
		return Subscriber{}, &Error{Kind: Protocol, Command: cmd.name(), Cause: err}
	}
	return s, nil
}

// ParseInfo decodes the value of an info reply: lines of key, tab, value. Keys that it does not know are skipped.
func ParseInfo(value string) (Subscriber, error) {
	var s Subscriber
	err := eachField(value, func(key, v string) (err error) {
		switch key {
		case "id":
			s.ID, err = strconv.ParseInt(v, 10, 64)
		case "imsi":
			s.IMSI = v
		case "msisdn":
			s.MSISDN = v
		case "nam_cs":
			s.CS, err = parseBit(v)
		case "nam_ps":
			s.PS, err = parseBit(v)
		case "ms_purged_cs":
			s.PurgedCS, err = parseBit(v)
		case "ms_purged_ps":
			s.PurgedPS, err = parseBit(v)
		case "vlr_number":
			s.VLR = v
		case "sgsn_number":
			s.SGSN = v
		}
		return err
	})
	if err == nil && (s.ID == 0 || !digits(s.IMSI, 6, 15)) {
		err = errors.New("the reply names no subscriber")
	}
	if err != nil {
		return Subscriber{}, err
	}
	return s, nil
}

// Auth is what the register holds to authenticate a SIM. It prints without the keys.
type Auth struct {
	Algorithm string // "MILENAGE", "XOR"; empty: no 3G keys
	K, OPc    Secret
	OP        bool   // OPc holds the operator's OP, from which the register derives OPc
	IndBits   int    // length of the IND part of the sequence number (3GPP TS 33.102, C.1.1.1)
	SQN       uint64 // last sequence number used
}

// Matches tells whether the register authenticates with exactly these keys.
func (a Auth) Matches(k, opc Secret) bool {
	return a.Algorithm == "MILENAGE" && !a.OP && a.K.Equal(k) && a.OPc.Equal(opc)
}

// AuthInfo reads the 3G keys, for a comparison inside this process. The error is NoSubscriber when the subscriber is absent.
func (c *Client) AuthInfo(ctx context.Context, imsi string) (Auth, error) {
	if err := checkIMSI(imsi); err != nil {
		return Auth{}, err
	}
	// osmo-hlr answers info-aud of an absent subscriber like that of one without keys; the question before it tells them apart.
	cmd := AuthCommand(imsi)
	replies, err := c.Do(ctx, InfoCommand(imsi), cmd)
	for _, r := range replies {
		err = cmp.Or(err, r.Err)
	}
	if err != nil {
		return Auth{}, err
	}
	a, err := ParseAuth(replies[1].Value)
	if err != nil {
		return Auth{}, &Error{Kind: Protocol, Command: cmd.name(), Cause: err}
	}
	return a, nil
}

// ParseAuth decodes the value of an info-aud reply; an empty one means that there are no keys. Errors never quote a value.
func ParseAuth(value string) (Auth, error) {
	var a Auth
	err := eachField(value, func(key, v string) (err error) {
		switch key {
		case "aud3g.algo":
			a.Algorithm = v
		case "aud3g.k":
			a.K, err = ParseSecret(v)
		case "aud3g.opc":
			a.OPc, err = ParseSecret(v)
		case "aud3g.op":
			a.OP = true
			a.OPc, err = ParseSecret(v)
		case "aud3g.ind_bitlen":
			a.IndBits, err = strconv.Atoi(v)
		case "aud3g.sqn":
			a.SQN, err = strconv.ParseUint(v, 10, 64)
		}
		return err
	})
	if err != nil {
		return Auth{}, err
	}
	return a, nil
}

// eachField walks the lines "key<TAB>value" of an info reply.
func eachField(value string, f func(key, value string) error) error {
	for line := range strings.SplitSeq(value, "\n") {
		if line == "" {
			continue
		}
		key, v, ok := strings.Cut(line, "\t")
		if !ok {
			return errors.New("a line without a tab")
		}
		if err := f(key, v); err != nil {
			return fmt.Errorf("the field %.20q is malformed", key)
		}
	}
	return nil
}

func parseBit(v string) (bool, error) {
	if v != "0" && v != "1" {
		return false, errors.New("neither 0 nor 1")
	}
	return v == "1", nil
}

func checkIMSI(imsi string) error {
	if digits(imsi, 6, 15) {
		return nil
	}
	return &Error{Kind: InvalidIMSI, Command: "subscriber " + strconv.Quote(imsi), Text: "an IMSI has 6 to 15 digits"}
}

func digits(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, "0123456789") == ""
}
