package communication_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"net"
	"strings"
	"testing"
)

// received is a mail as the server took it.
type received struct {
	from      string
	to        []string
	data      string
	encrypted bool
	user      string
}

// smtpServer is a small mail server (RFC 5321) that takes mail and shows it.
type smtpServer struct {
	net.Listener
	tls   *tls.Config // nil: offers no STARTTLS
	auth  string      // "user:password" it wants; "": none
	mails chan received
	// refuse may answer a command in the server's place: "" lets it pass.
	refuse func(verb, arg string) string
}

func startSMTP(t *testing.T, s *smtpServer) *smtpServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Listener, s.mails = l, make(chan received, 100)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s
}

func (s *smtpServer) port() int { return s.Addr().(*net.TCPAddr).Port }

func (s *smtpServer) talk(c net.Conn) {
	defer func() { c.Close() }()
	r, m := bufio.NewReader(c), received{}
	say := func(text string) { _, _ = c.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n")) }
	say("220 mail.test ready")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, arg, _ := strings.Cut(line, " ")
		if s.refuse != nil {
			if answer := s.refuse(strings.ToUpper(verb), arg); answer != "" {
				say(answer)
				continue
			}
		}
		switch strings.ToUpper(verb) {
		case "EHLO", "HELO":
			say("250-mail.test" + s.extensions(m.encrypted) + "\n250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			secure := tls.Server(c, s.tls)
			c, r, m.encrypted = secure, bufio.NewReader(secure), true
		case "AUTH":
			_, blob, _ := strings.Cut(arg, " ")
			plain, _ := base64.StdEncoding.DecodeString(blob)
			if got := strings.Split(string(plain), "\x00"); len(got) != 3 || got[1]+":"+got[2] != s.auth {
				say("535 5.7.8 who are you?")
				continue
			}
			m.user, _, _ = strings.Cut(s.auth, ":")
			say("235 welcome")
		case "MAIL":
			m.from, m.to = angle(arg), nil
			say("250 ok")
		case "RCPT":
			m.to = append(m.to, angle(arg))
			say("250 ok")
		case "DATA":
			say("354 go on")
			m.data = ""
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				m.data += strings.TrimPrefix(line, ".")
			}
			s.mails <- m
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default: // RSET, NOOP
			say("250 ok")
		}
	}
}

func (s *smtpServer) extensions(encrypted bool) string {
	out := ""
	if s.tls != nil && !encrypted {
		out += "\n250-STARTTLS"
	}
	if s.auth != "" {
		out += "\n250-AUTH PLAIN"
	}
	return out
}

func angle(arg string) string {
	_, rest, _ := strings.Cut(arg, "<")
	address, _, _ := strings.Cut(rest, ">")
	return address
}
