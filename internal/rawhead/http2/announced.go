package http2

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"httpserver/internal/frame"
	"httpserver/internal/head"
)

// This file holds what a client announces of itself at the beginning of a connection, before its first request.

// maxSettings is how much is kept of settings, in bytes: 100 of them. net/http takes no more.
const maxSettings = 600

// An Announced is what a client announces (RFC 9113 sections 6.5 and 6.9).
type Announced struct {
	settings []byte // the payload of its first SETTINGS; nil where none has come
	window   []byte // the payload of the connection's first WINDOW_UPDATE

	into *[]byte // where the payload of the frame goes that is handed on; or nil
}

// begin notes the header of a frame whose payload is handed on next. Once a request has come, a WINDOW_UPDATE
// is of what the client has received.
func (a *Announced) begin(f frame.Frame, requested bool) {
	a.into = nil
	switch {
	case requested:
	case f.Kind() == frame.Settings && !f.Has(frame.Ack) && a.settings == nil && f.Length() <= maxSettings:
		a.settings, a.into = make([]byte, 0, f.Length()), &a.settings
	case f.Kind() == frame.WindowUpdate && f.Stream() == 0 && a.window == nil && f.Length() == 4:
		a.into = &a.window
	}
}

// add adds to the payload.
func (a *Announced) add(p []byte) {
	if a.into != nil {
		*a.into = append(*a.into, p...)
	}
}

// settingNames are those of RFC 9113 section 6.5.2, RFC 8441 and RFC 9218.
var settingNames = map[uint16]string{1: "HEADER_TABLE_SIZE", 2: "ENABLE_PUSH", 3: "MAX_CONCURRENT_STREAMS", 4: "INITIAL_WINDOW_SIZE",
	5: "MAX_FRAME_SIZE", 6: "MAX_HEADER_LIST_SIZE", 8: "ENABLE_CONNECT_PROTOCOL", 9: "NO_RFC7540_PRIORITIES"}

// WriteJSON writes what was announced, to a client whose request came on stream. A setting without a
// name is shown by its number.
func (a *Announced) WriteJSON(j head.JSON, stream int) {
	j.WriteByte('{')
	if a.settings != nil {
		j.WriteString(`"settings":[`)
		separator := ""
		for s := a.settings; len(s) >= 6; s = s[6:] {
			id := binary.BigEndian.Uint16(s)
			name, ok := settingNames[id]
			if !ok {
				name = fmt.Sprintf("0x%04x", id)
			}
			fmt.Fprintf(j, `%s["%s",%d]`, separator, name, binary.BigEndian.Uint32(s[2:]))
			separator = ","
		}
		j.WriteString("],")
	}
	if len(a.window) == 4 {
		fmt.Fprintf(j, `"windowUpdate":%d,`, binary.BigEndian.Uint32(a.window)&0x7fffffff) // the first bit is reserved
	}
	j.WriteString(`"streamId":` + strconv.Itoa(stream) + "}")
}
