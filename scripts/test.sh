#!/usr/bin/env bash
# Every test, in stages from quick to slow; those that need less prepared come first. What the later ones need
# (container engine, Kubernetes, a Linux guest: slow when nothing is cached) is prepared in the background meanwhile, and
# what leaves a processor idle runs beside others. Stages that measure gaps have the machine for themselves.
# A stage that ends with 69 is not possible on this machine: it said why, and counts as skipped.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"
mkdir -p out

passed=0 failed=0 skipped=0 begun=$SECONDS
report=()

stage() { # name, what it does, command...
  local name=$1 what=$2 started=$SECONDS status took word
  shift 2
  printf '\n=== %s: %s\n' "$name" "$what"
  "$@"
  status=$?
  took=$((SECONDS - started))
  case $status in
    0) word=passed passed=$((passed + 1)) ;;
    69) word=skipped skipped=$((skipped + 1)) ;;
    *) word="FAILED ($status)" failed=$((failed + 1)) ;;
  esac
  report+=("$(printf '  %-14s %-12s %4d s' "$name" "$word" "$took")")
  printf '=== %s: %s in %d s\n' "$name" "$word" "$took"
}

# ---- in the background, into out/NAME.log
declare -A running=()

background() { # name, command...
  local name=$1
  shift
  "$@" > "out/$name.log" 2>&1 &
  running[$name]=$!
}

after() { # name, command...: in the background too, when what has this name there has ended
  tail -f /dev/null --pid="${running[$1]}"
  shift
  exec "$@"
}

finished() { # name: waits for it and shows what it said
  local status=0 pid=${running[$1]}
  tail -n +1 -f --pid="$pid" "out/$1.log"
  wait "$pid" || status=$?
  unset "running[$1]"
  return "$status"
}

finish() {
  # Those that still run: the number of one that has ended may be another process by now.
  for pid in $(jobs -rp); do kill "$pid" && wait "$pid"; done 2> /dev/null
  [ -z "$cluster_waits" ] || node e2e/main.ts cluster-down
}
cluster_waits=
trap finish EXIT

background prepare nice node e2e/main.ts prepare
background simulation nice node simulation/main.ts --seeds 4000
echo "In the background: preparing container engine, Kubernetes and a Linux guest (out/prepare.log), and the simulation."

stage format 'formatting and lint' biome check .
stage types 'strict TypeScript' tsc --noEmit
stage architecture "dependencies point inwards, no dead files, each file says what it is for" bash -c "npm run --silent architecture && node scripts/file-map.ts --check"
stage prose 'docs, comments and messages in the words of the glossary; links, pictures and generated pages' bash -c 'node scripts/prose/main.ts && node scripts/links/main.ts && node scripts/pictures/main.ts --check && node scripts/cli-reference.ts --check && node scripts/chart-values.ts --check'
stage packages "packages of others: hashes and licences are known, no scripts of theirs run" node scripts/supply-chain.ts
stage definitions 'CRDs: users of the last release lose nothing' node scripts/crds/main.ts
unit() { # whole programs run as bundles (testing/program.ts): most of what these tests cost is starting them
  node scripts/bundle.ts .cache/test-bundles --failpoints && FILERPAIR_TEST_BUNDLES=$PWD/.cache/test-bundles vitest run
}
stage unit 'unit and component tests' unit
stage fuzzing "what reads strangers' bytes, with changed bytes" node fuzzing/main.ts --seconds 20
stage anywhere 'the README in a private directory, and as an ordinary user' scripts/test-anywhere.sh
stage mutants 'faults in what changed last of the code that safety depends on: tests notice them' node mutants/main.ts --changed HEAD~10 --seconds 45
stage exploration 'every state within small bounds: never two writers' node simulation/exploration/main.ts
stage prepare 'waiting for the background work' finished prepare
background disk node e2e/main.ts disk
cluster_waits=yes
background cluster-up after disk node e2e/main.ts cluster-up
stage alerts 'when each alert fires, and when not' node e2e/main.ts alerts
stage admission 'what the API server refuses: policies of the chart, Pod Security levels' node e2e/main.ts admission
stage clients 'libnfs and the Linux kernel as clients' node e2e/main.ts clients
stage disk 'crashes of a machine replayed, failing disks' finished disk
stage simulation '4,000 seeds: never two writers' finished simulation
stage cluster-up 'a kind cluster and our images in it' finished cluster-up
stage cluster 'helm install, failures and giveback on kind' node e2e/main.ts cluster
stage names 'names by the real external-dns and BIND' node e2e/main.ts names published
stage moves 'disks that move from node to node: planned, and with a crash' node e2e/main.ts moves
stage upgrade 'from the release before, under a client that writes' node e2e/main.ts install upgrade
stage install "the README's own lines: from nothing to a file that is written through a failover" node e2e/main.ts install readme
cluster_waits=
node e2e/main.ts cluster-down
stage demo 'the main job: kill a server under a writer' node demo/main.ts

printf '\nAll stages, %d s:\n' $((SECONDS - begun))
printf '%s\n' "${report[@]}"
if [ "$skipped" -gt 0 ]; then
  printf 'Skipped stages need what this machine does not have; each says above what, and "make help" names its command.\n'
fi
printf '\nstages: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
