package wire

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"httpserver/internal/frame"
)

// A HTTP2Peer talks HTTP/2 to a server in frames.
type HTTP2Peer struct {
	T       testing.TB
	Conn    net.Conn
	decoder *hpack.Decoder
	Answers map[int]string // by stream: what /hello shows or another status, or RST_STREAM; under 0 GOAWAY
	ended   map[int]bool
}

func NewHTTP2Peer(t testing.TB, network, addr string, config *tls.Config) *HTTP2Peer {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err == nil && config != nil {
		tc := tls.Client(c, config)
		c, err = tc, tc.Handshake()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return NewHTTP2PeerOn(t, c)
}

// NewHTTP2PeerOn returns a peer on c.
func NewHTTP2PeerOn(t testing.TB, c net.Conn) *HTTP2Peer {
	return &HTTP2Peer{t, c, hpack.NewDecoder(4096, nil), map[int]string{}, map[int]bool{}}
}

// Send sends raw, cut so.
func (p *HTTP2Peer) Send(raw string, cut func() int) {
	for raw != "" {
		n := min(len(raw), cut())
		if _, err := io.WriteString(p.Conn, raw[:n]); err != nil {
			return // the server has closed it
		}
		raw = raw[n:]
	}
}

// Await reads answers until streams have ended, 0 with GOAWAY, or the connection.
func (p *HTTP2Peer) Await(streams ...int) map[int]string {
	p.T.Helper()
	for slices.ContainsFunc(streams, func(s int) bool { return !p.ended[s] }) {
		f := make(frame.Frame, frame.HeaderSize)
		if _, err := io.ReadFull(p.Conn, f); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				p.T.Errorf("no answer: %v", streams)
			}
			return p.Answers
		}
		payload := make([]byte, f.Length())
		if _, err := io.ReadFull(p.Conn, payload); err != nil {
			p.T.Errorf("half a frame of type %d", f.Kind())
			return p.Answers
		}
		id := f.Stream()
		switch f.Kind() {
		case frame.Headers:
			fields, err := p.decoder.DecodeFull(payload)
			if err != nil {
				p.T.Error(err)
			}
			if len(fields) > 0 && fields[0].Name == ":status" && fields[0].Value != "200" {
				p.Answers[id] = fields[0].Value + " "
			}
		case frame.Data:
			p.Answers[id] += string(payload)
		case frame.Reset:
			if !p.ended[id] { // else what is left of its body isn't wanted (RFC 9113 section 8.1)
				p.Answers[id] = fmt.Sprintf("RST_STREAM %d", payload[3])
			}
		case frame.GoAway:
			p.Answers[0] = fmt.Sprintf("GOAWAY %d %s", payload[7], payload[8:])
		}
		p.ended[id] = p.ended[id] || f.Kind() == frame.Reset || f.Kind() == frame.GoAway ||
			f.Has(frame.EndStream) && (f.Kind() == frame.Headers || f.Kind() == frame.Data)
	}
	return p.Answers
}

// AwaitHead reads to the head of the answer on a stream, and reports whether it comes.
func (p *HTTP2Peer) AwaitHead(stream int) bool {
	for f := make(frame.Frame, frame.HeaderSize); f.Kind() != frame.Headers || f.Stream() != stream; io.CopyN(io.Discard, p.Conn, int64(f.Length())) {
		if _, err := io.ReadFull(p.Conn, f); err != nil {
			return false
		}
	}
	return true
}
