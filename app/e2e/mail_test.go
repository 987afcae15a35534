package e2e_test

import (
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tandem/bss/communication"
	"tandem/edge/peertest"
)

// mailbox is a mail server of another house, which keeps what it takes as files (Maildir).
type mailbox struct {
	t      *testing.T
	folder string
	port   int
}

// takesMail starts the server.
func takesMail(t *testing.T) *mailbox {
	t.Helper()
	path := peertest.Need(t, "aiosmtpd", "python3-aiosmtpd")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &mailbox{t: t, folder: filepath.Join(t.TempDir(), "mail"), port: l.Addr().(*net.TCPAddr).Port}
	l.Close()
	cmd := exec.Command(path, "-n", "-l", "127.0.0.1:"+strconv.Itoa(b.port), "-c", "aiosmtpd.handlers.Mailbox", b.folder)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the mail server: %s", &said)
		}
	})
	(&operator{t: t}).await("the mail server", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(b.port))
		if err == nil {
			c.Close()
		}
		return err == nil
	}, func() string { return said.String() })
	return b
}

// relay is how a node sends through it.
func (b *mailbox) relay() communication.Config {
	return communication.Config{Channels: communication.Channels{SMTP: &communication.SMTP{Host: "127.0.0.1", Port: b.port, TLS: "none", From: "Bluebird <service@bluebird.example>"}}}
}

// read are the mails that came, with their texts.
func (b *mailbox) read() (list []letter) {
	b.t.Helper()
	files, err := filepath.Glob(filepath.Join(b.folder, "new", "*"))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, name := range files {
		list = append(list, b.open(name))
	}
	return list
}

type letter struct {
	*mail.Message
	text string
}

func (b *mailbox) open(name string) (l letter) {
	b.t.Helper()
	f, err := os.Open(name)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	if l.Message, err = mail.ReadMessage(f); err != nil {
		b.t.Fatalf("%s: %v", name, err)
	}
	var body io.Reader = l.Body
	if l.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		b.t.Fatalf("%s: %v", name, err)
	}
	l.text = string(text)
	return l
}

// took waits until the mails about allowances are those, by their subjects, each to the
// customer and about what its subject says.
func (b *mailbox) took(o *operator, when, to string, want map[string]int) {
	b.t.Helper()
	var got map[string]int
	o.await("the mails "+when, func() bool {
		got = map[string]int{}
		for _, l := range b.read() {
			subject := l.Header.Get("Subject")
			part, _, used := strings.Cut(subject, " of ")
			if used = used && strings.HasSuffix(subject, " used"); !used && !strings.HasSuffix(subject, " is used up") {
				continue // of other things
			}
			if l.Header.Get("X-RcptTo") != to || used && !strings.Contains(l.text, "you have used "+part+" of ") {
				b.t.Fatalf("%q to %q: %s", subject, l.Header.Get("X-RcptTo"), l.text)
			}
			got[subject]++
		}
		return fmt.Sprint(got) == fmt.Sprint(want)
	}, func() string { return fmt.Sprintf("%v came, not %v", got, want) })
}
