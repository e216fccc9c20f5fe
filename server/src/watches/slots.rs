//! Values at places that stay theirs until they are taken out.

/// A place. It is used again after its value was taken out.
pub(super) type Place = u32;

/// Values by place.
pub(super) struct Slots<T> {
    places: Vec<Option<T>>,
    vacant: Vec<Place>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Slots<T> {
        Slots { places: Vec::new(), vacant: Vec::new() }
    }

    pub(super) fn insert(&mut self, value: T) -> Place {
        if let Some(place) = self.vacant.pop() {
            self.places[place as usize] = Some(value);
            return place;
        }
        let Ok(place) = Place::try_from(self.places.len()) else {
            panic!("the limits keep the number of watches far below this");
        };
        self.places.push(Some(value));
        place
    }

    #[inline]
    pub(super) fn get(&self, place: Place) -> Option<&T> {
        self.places.get(place as usize)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        self.places.get_mut(place as usize)?.as_mut()
    }

    pub(super) fn take(&mut self, place: Place) -> Option<T> {
        let value = self.places.get_mut(place as usize)?.take()?;
        self.vacant.push(place);
        Some(value)
    }
}
