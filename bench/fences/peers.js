// Peers in JavaScript: turf behind a flatbush tree, and which-polygon. `node peers.js FOLDER turf|which` reads
// fences.json and the columns of the fixes there, then obeys lines on its standard input, each answered by a line of JSON:
//   batch COUNT    seconds for the first COUNT fixes
//   single COUNT   microseconds of each of them
//   events         writes what batch found to entered.bin, left.bin (fix, fence …), inside.bin and sizes.bin
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { booleanPointInPolygon } from "@turf/boolean-point-in-polygon";
import Flatbush from "flatbush";
import whichPolygon from "which-polygon";

const [folder, engine] = process.argv.slice(2);
const column = (name, Kind) => new Kind(new Uint8Array(readFileSync(join(folder, `${name}.bin`))).buffer);
const mover = column("mover", Int32Array);
const longitude = column("longitude", Float64Array);
const latitude = column("latitude", Float64Array);
const { features } = JSON.parse(readFileSync(join(folder, "fences.json"), "utf8"));
const MOVERS = mover.reduce((most, one) => Math.max(most, one), 0) + 1;

function turf() {
  const tree = new Flatbush(features.length);
  for (const { geometry } of features) {
    let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const [x, y] of geometry.coordinates[0]) {
      [west, south, east, north] = [Math.min(west, x), Math.min(south, y), Math.max(east, x), Math.max(north, y)];
    }
    tree.add(west, south, east, north);
  }
  tree.finish();
  return (x, y) => {
    const point = [x, y];
    const found = [];
    for (const fence of tree.search(x, y, x, y)) {
      if (booleanPointInPolygon(point, features[fence].geometry)) found.push(fence);
    }
    return found;
  };
}

function which() {
  const query = whichPolygon({ type: "FeatureCollection", features });
  return (x, y) => {
    const found = query([x, y], true);
    return found === null ? [] : found.map((properties) => properties.fence);
  };
}

// Sets are compared by stamps: a fence carries the number of the last set it was seen in.
class Tracks {
  constructor(holding) {
    this.holding = holding;
    this.stamps = new Float64Array(features.length);
    this.stamp = 0;
    this.reset();
  }

  reset() {
    this.sets = Array.from({ length: MOVERS }, () => []);
    this.entered = [];
    this.left = [];
    this.inside = [];
    this.sizes = [];
  }

  step(fix) {
    const here = this.holding(longitude[fix], latitude[fix]);
    const was = this.sets[mover[fix]];
    const { stamps } = this;
    const [old, fresh] = [++this.stamp, ++this.stamp];
    for (const fence of was) stamps[fence] = old;
    for (const fence of here) {
      if (stamps[fence] !== old) this.entered.push(fix, fence);
      stamps[fence] = fresh;
    }
    for (const fence of was) if (stamps[fence] !== fresh) this.left.push(fix, fence);
    this.sets[mover[fix]] = here;
    return here;
  }

  batch(count) {
    this.reset();
    const began = process.hrtime.bigint();
    for (let fix = 0; fix < count; fix++) {
      const here = this.step(fix);
      for (const fence of here) this.inside.push(fence);
      this.sizes.push(here.length);
    }
    return Number(process.hrtime.bigint() - began) / 1e9;
  }

  single(count) {
    this.reset();
    const taken = new Array(count);
    for (let fix = 0; fix < count; fix++) {
      const began = process.hrtime.bigint();
      this.step(fix);
      taken[fix] = Number(process.hrtime.bigint() - began) / 1e3;
    }
    return taken;
  }

  events() {
    for (const name of ["entered", "left", "inside", "sizes"]) {
      writeFileSync(join(folder, `${name}.bin`), Int32Array.from(this[name]));
    }
    return true;
  }
}

const tracks = new Tracks({ turf, which }[engine]());
console.log("true");
for await (const line of createInterface({ input: process.stdin })) {
  const [what, count] = line.split(" ");
  console.log(JSON.stringify(tracks[what](Number(count))));
}
