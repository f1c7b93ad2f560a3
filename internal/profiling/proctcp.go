package profiling

import (
	"bufio"
	"bytes"
	"context"
	endian "encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
)

// This file reads whose a socket is in the tables of all of them, /proc/net/tcp and tcp6,
// where the kernel can't be asked for one.

// procUser returns the number of the user of client's socket, which is connected to
// server. That of IPv4 may be a socket of IPv6.
func procUser(ctx context.Context, client, server netip.AddrPort) (string, error) {
	c, s := inTCP6(client), inTCP6(server)
	if client.Addr().Is4() {
		const ip = len("00000000") // the last word of four
		user, err := userOf(ctx, "/proc/net/tcp", c[3*ip:]+" "+s[3*ip:]+" ")
		if user != "" || err != nil {
			return user, err
		}
	}
	user, err := userOf(ctx, "/proc/net/tcp6", c+" "+s+" ")
	if user == "" && err == nil {
		err = errors.New("the client's socket is not in /proc/net/tcp or tcp6")
	}
	return user, err
}

// inTCP6 returns a as /proc/net/tcp6 has it: four words in the machine's byte order, and
// the port (proc(5)).
func inTCP6(a netip.AddrPort) string {
	var b []byte
	ip := a.Addr().As16()
	for i := 0; i < len(ip); i += 4 {
		b = fmt.Appendf(b, "%08X", endian.NativeEndian.Uint32(ip[i:]))
	}
	return string(fmt.Appendf(b, ":%04X", a.Port()))
}

// tables is held by whoever reads one of them, so that strangers who ask in a loop take no
// more than one core.
var tables sync.Mutex

// userOf returns the user in the row of table that begins with ends, or "" if there is
// none. The kernel shows root as the user of a socket that its owner has let go of, but no
// inode.
func userOf(ctx context.Context, table, ends string) (string, error) {
	tables.Lock()
	defer tables.Unlock()
	if err := ctx.Err(); err != nil { // who asked went while it waited
		return "", err
	}
	f, err := os.Open(table)
	if err != nil {
		return "", err
	}
	defer f.Close()
	rows := bufio.NewScanner(f)
	for rows.Scan() {
		_, row, _ := bytes.Cut(rows.Bytes(), []byte(": ")) // after its number
		row, found := bytes.CutPrefix(row, []byte(ends))
		if !found {
			continue
		}
		// State, queues, timer, retransmits, user, timeout, inode.
		columns := strings.Fields(string(row))
		const established = "01"
		if len(columns) < 7 || columns[0] != established || columns[6] == "0" {
			return "", errClosed
		}
		return columns[4], nil
	}
	return "", rows.Err()
}
