package communication

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/mail"
	"strings"

	gomail "github.com/wneessen/go-mail"
)

// send hands the message to the relay. An answer of 5xx to the receiver or the
// content is final (RFC 5321 4.2.1); anything else may be cured by trying again.
func (s *SMTP) send(ctx context.Context, tenant string, m *Message) error {
	msg, err := s.compose(tenant, m)
	if err != nil {
		return refusal{err.Error()}
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, seconds(s.Seconds, 30))
	defer cancel()
	err = client.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() { // a farewell that goes wrong changes nothing
		return nil
	}
	var failure *gomail.SendError
	if errors.As(err, &failure) && failure.ErrorCode()/100 == 5 {
		switch failure.Reason {
		case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
			return refusal{"The mail server refuses the message: " + err.Error()}
		}
	}
	return fmt.Errorf("mail server %s: %w", s.Host, err)
}

// compose writes the message. Its Message-ID is made from tenant and id, so that a
// second copy of it is known as one.
func (s *SMTP) compose(tenant string, m *Message) (*gomail.Msg, error) {
	from, err := mail.ParseAddress(s.From)
	if err != nil {
		return nil, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(from)
	if s.ReplyTo != "" {
		if err := msg.ReplyTo(s.ReplyTo); err != nil {
			return nil, err
		}
	}
	if err := s.address(msg, m.Receiver); err != nil {
		return nil, err
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.SendTime)
	_, domain, _ := strings.Cut(from.Address, "@")
	msg.SetMessageIDWithValue(dotAtom(tenant) + "." + dotAtom(m.ID) + "@" + domain)
	// RFC 3834: nobody's autoresponder shall answer a machine.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, m.Content)
	for _, a := range m.Attachment {
		data, err := base64.StdEncoding.DecodeString(a.Content)
		if err != nil {
			return nil, err
		}
		opts := []gomail.FileOption{}
		if a.MimeType != "" {
			opts = append(opts, gomail.WithFileContentType(gomail.ContentType(a.MimeType)))
		}
		if err := msg.AttachReader(a.Name, bytes.NewReader(data), opts...); err != nil {
			return nil, err
		}
	}
	return msg, nil
}

// address writes to one receiver openly; several do not see each other.
func (s *SMTP) address(msg *gomail.Msg, receivers []Receiver) error {
	if len(receivers) == 1 {
		msg.ToMailAddress(&mail.Address{Name: receivers[0].Name, Address: receivers[0].Email})
		return nil
	}
	for _, r := range receivers {
		if err := msg.AddBcc(r.Email); err != nil {
			return err
		}
	}
	return nil
}

// dotAtom makes a text fit for the left side of a Message-ID (RFC 5322 3.2.3).
func dotAtom(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r == '.':
			return '-' // dots must not meet
		}
		return '_'
	}, s), ".")
}

func (s *SMTP) client() (*gomail.Client, error) {
	config, err := s.tls()
	if err != nil {
		return nil, err
	}
	opts := []gomail.Option{gomail.WithTimeout(seconds(s.Seconds, 30)), gomail.WithTLSConfig(config)}
	port := s.Port
	switch s.TLS {
	case "implicit":
		opts = append(opts, gomail.WithSSL())
		if port == 0 {
			port = 465
		}
	case "none":
		opts = append(opts, gomail.WithTLSPolicy(gomail.NoTLS))
	case "opportunistic":
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if port == 0 {
		port = 587
	}
	opts = append(opts, gomail.WithPort(port))
	if s.User != "" {
		opts = append(opts, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.User), gomail.WithPassword(s.Password))
	}
	return gomail.NewClient(s.Host, opts...)
}

func (s *SMTP) tls() (*tls.Config, error) {
	c := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}
	if s.CA == "" {
		return c, nil
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM([]byte(s.CA)) {
		return nil, errors.New("there is no PEM certificate in it")
	}
	return c, nil
}
