#!/usr/bin/env bash
# Restores a PostgreSQL cluster from a plain copy of a Strongroom bucket; docs/disaster-recovery.md tells how.
# Needs bash, GNU coreutils, sed, awk, age, zstd, tar and PostgreSQL's own tools; with -k also openssl 3.
#   restore.sh -b BUCKET -i IDENTITY -d DATABASE -t DIRECTORY [-n BACKUP] [-k VERIFIER_KEY] [TARGET]
#   TARGET is --time '2026-11-24 09:30:00+01', --lsn 0/3000060, --name POINT or --end; without it, the backup's own restore point
set -euo pipefail
number() {                                                                                # of a position such as 0/3000060
  [[ $1 =~ ^([0-9A-F]{1,8})/([0-9A-F]{1,8})$ ]] && echo $((16#${BASH_REMATCH[1]} * 4294967296 + 16#${BASH_REMATCH[2]})) || die "$1 is no position."; }
inside() {                                                                                # whether a segment creates no tablespace before $2
  ! { pg_waldump -r Tablespace "$1" 2> /dev/null || true; } | sed -nE 's/.*lsn: ([^,]*),.*desc: CREATE .*/\1/p' | while read -r position; do
    [ "$(number "$position")" -ge "$2" ] || echo "restore.sh: the log creates a tablespace at $position, in its place at the source"; done | grep . >&2; }
# As restore_command: DIRECTORY.restore/list is complete and has no hole, so what it does not name is confirmed not to be
# there (exit 1: PostgreSQL takes that for the archive's end); every other failure ends recovery (255).
if [ "${1:-}" = --fetch ]; then
  out=$PWD/$4 name=$3; cd "$2"; trap 'rm -f "$name"; exit 255' ERR
  read -r sum file < <(awk -v name="$name" '$1 "" == name { print $2, $3; n++ } END { if (!n) print "none none" }' list)
  [ "$sum" != none ] || exit 1
  [ "$(sha256sum < "bucket/$file")" = "$sum  -" ]
  { age -d -i identity "bucket/$file" | if [[ $file == *.zst.age ]]; then zstd -dqc; else cat; fi; } > "$name"
  [[ $name == *.history ]] || inside "$name" "$(cat until)"; mv "$name" "$out"; exit 0
fi
die() { printf 'NOT RESTORED: %s\n' "$*" >&2; trap - ERR; exit 1; }; trap 'die "the script stopped at its line $LINENO."' ERR
bucket='' identity='' database='' directory='' backup='' key='' kind=backup value=''
while [ $# -gt 0 ]; do
  case $1 in
    -b) bucket=$(realpath -e "$2") ;; -i) identity=$(realpath -e "$2") ;; -d) database=$2 ;; -t) directory=$(realpath -m "$2") ;;
    -n) backup=$2 ;; -k) key=$2 ;; --time | --lsn | --name) kind=${1#--} value=$2 ;; --end) kind=end; shift; continue ;;
    *) die "what is $1? The first lines of this script say how it is called." ;;
  esac; shift 2; done
[ -n "$bucket" ] && [ -n "$identity" ] && [ -n "$database" ] && [ -n "$directory" ] || die "-b, -i, -d and -t are needed."
[ "$(id -u)" != 0 ] || die "PostgreSQL refuses to run as root: become the user that will own the cluster."
work=$directory.restore all=$bucket/backups/$database
[ ! -e "$directory" ] && [ ! -e "$work" ] || die "$directory or $work is there already; name a new directory."
[ ${#work} -le 90 ] || die "$work is too long for a socket; name a shorter directory."
for tool in age zstd tar pg_ctl pg_controldata pg_verifybackup pg_waldump; do command -v "$tool" > /dev/null || die "there is no $tool on the PATH."; done
mkdir -m 700 -p "$work"; ln -s "$bucket" "$work/bucket"; ln -s "$identity" "$work/identity"; touch "$work/list" "$work/server.log"
member() { sed -nE "s/.*\"$2\":\"?([^\",}]*).*/\1/p" "$1"; }                              # of a JSON document in one line
objects() { { grep -oE '\{"epoch_ids":\[[^]]*\],"key":"[^}]*\}' "$1" || true; } |           # lines: name, SHA-256, key, size
  sed -E 's/.*"key":"([^"]*)","name":"([^"]*)".*"sha256":"([^"]*)","size_bytes":([0-9]+).*/\2 \3 \1 \4/'; }
signed() { [ -n "$key" ] || return 0                                                      # by the key that -k names
  grep -qF "\"key\":\"$key\"" "$1" || die "$1 is not signed by $key."
  { printf '\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00'; base64 -d <<< "${key#*+*+}" | tail -c 32; } > "$work/public"
  member "$1" value | base64 -d > "$work/signature"
  { echo strongroom/signed-json/v1; tr -d '\n' < "$1" | sed -E 's/"signature":\{[^}]*\},//'; } > "$work/message"
  openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/public" -rawin -in "$work/message" -sigfile "$work/signature" \
    > /dev/null 2>&1 || die "the signature of $1 does not hold."; }
sum_of() { local record=$bucket/rewraps/$1.json now; [ -f "$record" ] || { echo "$2"; return; }; signed "$record"; now=$(sha256sum < "$bucket/$1" | cut -c 1-64); # of an object: the recorded one, or that since it was rewrapped to other keys
  grep -qF "\"key\":\"$1\",\"signature\"" "$record" && grep -qF "\"sha256\":\"$2\"" "$record" && grep -qF "\"sha256\":\"$now\"" "$record" && echo "$now" || echo "$2"; }

# 1. The way: to the newest timeline of which the log or a backup holds anything; for a backup's own restore point, no further.
about() { member "$all/$1/manifest.json" "$2"; }
point() { sed -nE 's/.*"restore_point":\{"lsn":"([^"]*)","name":"([^"]*)".*/\1 \2/p' "$all/$1/manifest.json"; }
ids=$(cd "$all" && grep -l '"method":"physical"' -- */manifest.json | cut -d / -f 1) || die "there is no physical backup in $all."
one=${backup:-$(tail -n 1 <<< "$ids")} own='' unending=9007199254740991; grep -qxF -e "$one" <<< "$ids" || die "there is no physical backup $one; there are: "$ids
case $kind in
  backup) own=$one kind=name; read -r _ value < <(point "$one") ;;
  name) own=$(cd "$all" && { grep -lF "\"name\":\"$value\"}" -- */manifest.json || true; } | sed 's|/.*||; q'); [ "${own:-$backup}" = "${backup:-$own}" ] && [ -n "$own$backup" ] || die "-n must name the backup to begin from, and only for a foreign --name." ;;
  time) value=$(date -u -d "$value" +%Y-%m-%dT%H:%M:%S.%6NZ) ;; esac
case $kind in lsn) number "$value" ;; *) echo $unending ;; esac > "$work/until"
one=${own:-$one} system=$(about "$one" system_identifier) major=$(about "$one" major) size=$(about "$one" wal_segment_bytes) goal=$(about "$one" timeline)
wal=wal/$database/$system; [[ $system$major$size$goal =~ ^[0-9]+$ ]] || die "the manifest of $one is malformed."; signed "$all/$one/manifest.json"
pg_ctl --version | grep -qE " $major([.a-z]|$)" || die "the backup needs PostgreSQL $major, not $(pg_ctl --version)."
peers=$(cd "$all" && for id in $ids; do [ "$(about "$id" system_identifier)" != "$system" ] || echo "$id"; done)
{ (cd "$bucket" && find -L "$wal" -type f -printf '%p %s\n' 2> /dev/null) || true; } > "$work/files"; touch "$work/way"
if [ -z "$own" ]; then
  goal=$({ for id in $peers; do about "$id" timeline; done; sed -nE 's|.*/([0-9A-F]{8})/receipts/.*|0x\1|p' "$work/files" | sort -u | xargs -r printf '%d\n'; } | sort -n | tail -n 1)
  name=$(printf %08X "$goal").history; file=$wal/${name%.*}/$name
  if [ "$goal" -gt 1 ] && { [ -s "$work/files" ] || [ "$goal" != "$(about "$one" timeline)" ]; }; then
    [ -f "$bucket/$file.json" ] && [ -f "$bucket/$file.age" ] && signed "$bucket/$file.json" && [ "$(sha256sum < "$bucket/$file.age")" = "$(sum_of "$file.age" "$(member "$bucket/$file.json" sha256)")  -" ] ||
      die "$file.age, the history of timeline $goal, is missing or is not what its receipt says."
    grep -oE '"position":"[^"]*","timeline":[0-9]+}' "$bucket/$file.json" | while IFS='":}' read -r _ _ _ _ position _ _ _ on _; do echo "$on $(number "$position")"; done > "$work/way"
    echo "$name $(sum_of "$file.age" "$(member "$bucket/$file.json" sha256)") $file.age" > "$work/list"
  fi; echo "$goal $unending" >> "$work/way"; fi

# 2. The backup: the last that ended before the target, on that way; and the chain below it.
backup=${own:-$(for id in ${backup:-$peers}; do [ "$kind" = time ] && [[ $(about "$id" finished_at) > $value ]] ||
  awk -v id="$id" -v on="$(about "$id" timeline)" -v stop="$(number "$(about "$id" stop_lsn)")" -v until="$(cat "$work/until")" '$1 == on && stop <= $2 && stop <= until { print stop, id }' "$work/way"
done | sort -n | tail -n 1 | cut -d ' ' -f 2)}
[ -n "$backup" ] || die "no physical backup leads to $kind $value on timeline $goal; there are: "$peers
chain=$backup; read -r lsn point < <(point "$backup"); awk -v from="$(about "$backup" timeline)" '$1 >= from' "$work/way" > "$work/on"
while first=$all/${chain%% *}/manifest.json; parent=$(member "$first" parent_id); signed "$first"; [ -n "$parent" ]; do
  [ "$(sha256sum < "$all/$parent/manifest.json")" = "$(member "$first" parent_manifest_sha256)  -" ] || die "$parent is not what ${chain%% *} builds on."
  chain="$parent $chain"; done

# 3. The log after it: what is there, and in one piece.
receipts() { ls "$bucket/$wal/$(printf %08X "$1")"/receipts/*.json "$bucket/$wal/$(printf %08X "$1")/coverage.json" 2> /dev/null || true; }; declare -A named there; newest=0 per=$((4294967296 / size)); while read -r file bytes; do there[$file]=$bytes; done < "$work/files"
while read -r on switch; do
  for path in $(receipts "$on"); do signed "$path"; objects "$path" | sed "s/^/$(member "$path" fencing_number) /"; done | sort -n > "$work/named"
  while read -r _ name sum file bytes; do
    [[ $name =~ ^[0-9A-F]{24}$ ]] || die "a receipt in $wal names $name."
    at=$((16#${name:8:8} * per + 16#${name:16:8})); [ $((at * size)) -le "$switch" ] || continue
    named[$name]="$sum $file $bytes"; [ "$at" -le "$newest" ] || newest=$at
  done < "$work/named"; done < "$work/on"
at=$((($(number "$lsn") - 1) / size + 1)) begin=$at
while on=$(awk -v start=$((at * size)) -v size="$size" 'start < $2 - $2 % size { print $1; exit }' "$work/on"); do
  next=$(printf '%08X%08X%08X' "$on" $((at / per)) $((at % per))); read -r sum file bytes <<< "${named[$next]:-none none none}"
  [ "$bytes" != none ] && [ -n "${there[$file]:-}" ] && { [ "${there[$file]}" = "$bytes" ] || [ -f "$bucket/rewraps/$file.json" ]; } || break
  echo "$next $(sum_of "$file" "$sum") $file" >> "$work/list"; at=$((at + 1)); done
short="the log ends before $next"; [ "$newest" -lt "$at" ] || short="the log has a gap: $next is missing"
covered=$(while read -r on switch; do receipts "$on" | xargs -r -d '\n' cat | { grep -oE '"covered":\{"clock":"[^"]*","position":"[^"]*"' || true; } |
  while IFS='"' read -r _ _ _ _ _ clock _ _ _ position _; do position=$(number "$position"); [ "$position" -gt $((at * size)) ] || [ "$position" -gt "$switch" ] || echo "$clock"; done
done < "$work/on" | sort | tail -n 1)
case $kind in
  time) [[ ! $value > $covered ]] || die "$short; everything is there up to ${covered:-the backup} only. Choose an earlier time." ;;
  lsn) [ "$(number "$value")" -le $((at * size)) ] || die "$short. Choose an earlier position." ;;
  name | end) [ -n "$own" ] || [ "$newest" -lt "$at" ] || die "$short. Restore to a position before it with --lsn." ;; esac
[ "$kind" != end ] || [ "$at" -gt "$begin" ] || kind=name value=$point

# 4. What was sealed: compared with the manifests' sizes and hashes, opened (age refuses what was altered), put together.
need=0 place=$directory
for id in $chain; do
  while read -r name sum file bytes; do [ "$(sha256sum < "$bucket/$file")" = "$(sum_of "$file" "$sum")  -" ] || die "$file is missing, or is not what the manifest says."
  done < <(objects "$all/$id/manifest.json")
  need=$((need + $(grep -oE '"plaintext_bytes":[0-9]+' "$all/$id/manifest.json" | awk -F: '{ n += $2 } END { printf "%d", n / 1024 }'))); done
[ "$chain" = "$backup" ] || need=$((need * 2)); [ "$(df -Pk "$work" | awk 'NR == 2 { print $4 }')" -gt "$need" ] || die "$directory needs $((need / 1024)) MiB of disk."
unpack() { age -d -i "$identity" "$bucket/$1" | zstd -dqc | tar x -C "$2" || die "$1 does not open: another identity's, or altered."; }
echo "Restoring $database to $kind $value from $chain and $((at - begin)) segments of log into $directory" >&2
for id in $chain; do
  [ "$chain" = "$backup" ] || place=$work/$id
  mkdir -m 700 "$place"; parts+=("$place"); map=()
  unpack "backups/$database/$id/base.tar.zst.age" "$place"
  for oid in $(objects "$all/$id/manifest.json" | sed -nE 's|^tablespaces/([0-9]+)\..*|\1|p'); do
    mkdir -m 700 -p "$place.tablespaces/$oid"; unpack "backups/$database/$id/tablespaces/$oid.tar.zst.age" "$place.tablespaces/$oid"
    ln -sfn "$place.tablespaces/$oid" "$place/pg_tblspc/$oid"; map+=(-T "$place.tablespaces/$oid=$directory.tablespaces/$oid"); done
done
[ "$chain" = "$backup" ] || pg_combinebackup -o "$directory" "${map[@]}" "${parts[@]}" >&2 || die "the chain cannot be combined."
pg_verifybackup -e -n "$directory" >&2 || die "the unpacked backup is not whole."
rm -rf "$work"/2* "$directory/tablespace_map"
for link in "$directory"/pg_tblspc/*; do [ ! -L "$link" ] || echo "${link##*/} $(readlink "$link")" >> "$directory/tablespace_map"; done
unpack "backups/$database/$backup/wal.tar.zst.age" "$directory/pg_wal"
for path in "$directory"/pg_wal/*[0-9A-F]; do inside "$path" "$(cat "$work/until")" || die "Recovery would write outside of $directory."; done

# 5. Recovery: cut off from everything that the old server knew, reachable through a socket in DIRECTORY.restore only.
rm -f "$directory"/{standby.signal,postmaster.pid,postmaster.opts,pg_ident.conf}; touch "$directory"/{recovery.signal,pg_ident.conf}; echo 'local all all trust' > "$directory/pg_hba.conf"
{ pg_controldata -D "$directory" | sed -nE 's/^(max_[a-z_]+) setting: *(.*)/\1 = \2/p' | sed 's/_xact/_transaction/'
  printf "restore_command = '%s %%f %%p'\n" "$(printf '%q --fetch %q' "$(realpath "$0")" "$work" | sed "s/%/%%/g; s/'/''/g")"
  printf '%s\n' "min_wal_size = $((size / 524288 + 64))MB" "max_wal_size = $((size / 262144 + 1024))MB" "listen_addresses = ''" "unix_socket_directories = '$work'" "archive_mode = off" "hot_standby = off" "log_timezone = UTC" \
    "lc_messages = C" "recovery_target_action = promote" "recovery_target_timeline = $goal"
} > "$directory/postgresql.conf"
{ [ "$kind" = end ] || printf "recovery_target_%s = '%s'\n" "$kind" "$(sed "s/'/''/g; /^[-0-9]*T[0-9:.]*Z$/s/Z/+00/" <<< "$value")"
  [ "$kind" != lsn ] || echo "recovery_target_inclusive = off"; } > "$directory/postgresql.auto.conf"
start() { pg_ctl -D "$directory" -l "$work/server.log" -w start > /dev/null &&
  until pg_isready -q -h "$work"; do pg_ctl -D "$directory" status > /dev/null || return 1; sleep 0.3; done; }
start || { [ "$kind" != name ] && grep -q 'ended before configured recovery target was reached' "$work/server.log" &&
  kind=end && : > "$directory/postgresql.auto.conf" && start; } || true           # nothing was committed after the target: recover all that there is
pg_ctl -D "$directory" status > /dev/null || die "$(grep -E 'FATAL|PANIC|ERROR|restore.sh|line' "$work/server.log" | tail -n 4)"
end=$(cat "$(ls "$directory"/pg_wal/*.history | tail -n 1)" | grep . | tail -n 1 | cut -f 2,3)
[ "$kind" != end ] || [ "$(number "${end%%$'\t'*}")" -ge $(((at - 1) * size)) ] || die "recovery stopped short, at $end; see $work/server.log."
echo "Restored; recovery stopped at $end. The server runs: psql -h $work. It stops with: pg_ctl -D $directory stop" >&2
