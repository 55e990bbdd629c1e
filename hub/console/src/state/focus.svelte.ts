// What the map is asked to look at; a map that is made later looks there too.

interface Wish {
  longitude: number;
  latitude: number;
}

class Focus {
  wish = $state.raw<Wish | null>(null);

  on(longitude: number, latitude: number): void {
    this.wish = { longitude, latitude };
  }

  done(): void {
    this.wish = null;
  }
}

export const focus = new Focus();
