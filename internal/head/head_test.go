package head

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLargeHeadsAreNotKept(t *testing.T) {
	for range 10 {
		for _, large := range []Head{{Text: make([]byte, 0, 1<<20)}, {Fields: make([]Field, 0, 1<<20)}} {
			large.Free()
			if h := New(); cap(h.Text)+cap(h.Fields) >= 1<<20 {
				t.Fatalf("%d bytes and %d fields were kept", cap(h.Text), cap(h.Fields))
			}
		}
	}
}

// The JSON form is JSON, whatever a client sends, and says what was sent.
func TestJSON(t *testing.T) {
	var bytes, runes []byte
	for c := range 256 {
		bytes = append(bytes, byte(c))
	}
	for c := range 0x3000 {
		runes = utf8.AppendRune(runes, rune(c))
	}
	h := &Head{Fields: []Field{{":method", "GET"}, {"x", string(runes)}, {"y", string(bytes)}, {"x", ""}}}
	r := httptest.NewRequest("GET", "/\xe9", nil)
	var b strings.Builder
	h.WriteJSON(&b, r, func(JSON) {})
	var got struct {
		Target     string
		Headers    map[string][]string
		RawHeaders [][2]string
		TLS        any
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatalf("%v in %s", err, b.String())
	}
	var latin1 []rune
	for _, c := range bytes {
		latin1 = append(latin1, rune(c))
	}
	want := [][2]string{{":method", "GET"}, {"x", string(runes)}, {"y", string(latin1)}, {"x", ""}}
	if !slices.Equal(got.RawHeaders, want) || got.Target != "/é" || len(got.Headers) != 2 || len(got.Headers["X"]) != 2 || got.TLS != nil {
		t.Errorf("%s", b.String())
	}
	b.Reset()
	(&Head{}).WriteJSON(&b, r, func(JSON) {})
	if !strings.Contains(b.String(), `"headers":{},"rawHeaders":[]}`) || !json.Valid([]byte(b.String())) {
		t.Errorf("%s", b.String())
	}
}

// The JSON form has its headers by name, and the values of one name in the order in which
// they came.
func TestJSONOrder(t *testing.T) {
	var fields []Field
	var names, values strings.Builder
	for i := range 100 {
		fields = append(fields, Field{fmt.Sprintf("x-%02d", 99-i), ""}, Field{[]string{"y", "Y"}[i%2], strconv.Itoa(i)})
		fmt.Fprintf(&names, `"X-%02d":[""],`, i)
		fmt.Fprintf(&values, `,"%d"`, i)
	}
	var b strings.Builder
	(&Head{Fields: fields}).WriteJSON(&b, httptest.NewRequest("GET", "/", nil), func(JSON) {})
	if want := `"headers":{` + names.String() + `"Y":[` + values.String()[1:] + "]}"; !strings.Contains(b.String(), want) {
		t.Errorf("%s, want %s", b.String(), want)
	}
}

// Over HTTP/2 the JSON form's headers have the host that :authority says, as over HTTP/1.
func TestJSONHost(t *testing.T) {
	for want, fields := range map[string][]Field{
		`"headers":{"Host":["a"],"X":["1"]},"rawHeaders":[[":authority","a"],["x","1"]]`: {{Name: ":authority", Value: "a"}, {Name: "x", Value: "1"}},
		`"headers":{"Host":["b"]},"rawHeaders":[[":authority","a"],["host","b"]]`:        {{Name: ":authority", Value: "a"}, {Name: "host", Value: "b"}},
		`"headers":{},"rawHeaders":[]`: nil,
	} {
		var b strings.Builder
		(&Head{Fields: fields}).WriteJSON(&b, httptest.NewRequest("GET", "/", nil), func(JSON) {})
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s, want %s", b.String(), want)
		}
	}
}
